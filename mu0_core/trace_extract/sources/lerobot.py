# SPDX-License-Identifier: Apache-2.0
"""LeRobot data sets v2.1 and v3.0: one clip per episode, of one camera, with its task sentence.

Only images and tasks are read. Depth maps, which some data sets hold as coded video, are not.
"""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np

from mu0_core.errors import SourceError
from mu0_core.trace_extract.records import Clip
from mu0_core.trace_extract.sources.file_hash import hash_files
from mu0_core.trace_extract.sources.frame_store import FrameStore
from mu0_core.trace_extract.sources.lerobot_layout import (
    INFO_FILE,
    DataSet,
    EpisodeFiles,
    episode_indices,
    find_episode,
    open_data_set,
    read_columns,
    read_tasks,
)
from mu0_core.trace_extract.sources.reading import (
    ClipRef,
    Reader,
    ReadSettings,
    kept_frames,
    kept_texts,
)
from mu0_core.trace_extract.sources.video import store_frames

_LOG = logging.getLogger(__name__)


def read(ref: ClipRef, settings: ReadSettings, scratch: Path) -> Clip:
    """Read one episode.

    Raises:
        SourceError: unknown version or camera, a missing or broken file, no frames.
    """
    data_set = open_data_set(ref.path)
    camera = _camera(data_set, settings)
    files = find_episode(data_set, ref.index, camera)
    rows = read_columns(files.data, ("timestamp", "task_index"), ref.index)
    tasks_file, tasks = read_tasks(data_set)
    with FrameStore(scratch, ref.name, ref.path, settings) as store:
        if files.video is None:
            stamps = _store_pictures(files.data, camera, ref.index, rows, settings, store)
        else:
            stamps = _store_video(files, data_set, settings, store)
        expected = len(kept_frames(np.array(rows["timestamp"]), settings))
        if len(stamps) != expected:
            _LOG.warning(
                "%s: episode %d has %d frames at %g fps, its table says %d",
                ref.path,
                ref.index,
                len(stamps),
                settings.fps,
                expected,
            )
        rgb, _ = store.finish()
        return Clip(
            name=ref.name,
            source=f"{ref.path}#episode_{ref.index}/{camera}",
            source_hash=hash_files(
                ref.path,
                {files.data, tasks_file} | ({files.video} if files.video else set()),
                f"episode {ref.index} of {camera} from {files.begin_s} to {files.end_s} s",
            ),
            rgb=rgb,
            depth_m=None,
            intrinsics=store.fit(settings.stated_intrinsics(*store.source_size)),
            stamps_s=stamps - stamps[0],
            texts=kept_texts(_task_spans(rows, tasks, data_set), stamps),
        )


def _camera(data_set: DataSet, settings: ReadSettings) -> str:
    camera = settings.camera or data_set.cameras[0]
    if camera not in data_set.cameras:
        raise SourceError(
            f"{data_set.root}: no camera {camera!r}, there are: {', '.join(data_set.cameras)}"
        )
    return camera


def _store_video(
    files: EpisodeFiles, data_set: DataSet, settings: ReadSettings, store: FrameStore
) -> np.ndarray:
    """Store the frames to keep and return their times (T,) in s of the episode."""
    half = 0.5 / data_set.fps  # stamps are rounded to the time base of the video
    stamps = store_frames(
        files.video, settings, store, max(0.0, files.begin_s - half), files.end_s - half
    )
    return stamps - files.begin_s


def _store_pictures(
    path: Path,
    camera: str,
    episode: int,
    rows: dict[str, list],
    settings: ReadSettings,
    store: FrameStore,
) -> np.ndarray:
    """Do the same for pictures in the table; those of one episode are read at once."""
    stamps = np.array(rows["timestamp"], float)
    kept = kept_frames(stamps, settings)
    pictures = read_columns(path, (camera,), episode)[camera]
    for index in kept:
        data = (pictures[index] or {}).get("bytes") if isinstance(pictures[index], dict) else None
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if image is None:
            raise SourceError(f"{path}: row {index} of episode {episode} has no image in {camera}")
        store.add(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return stamps[kept]


def _task_spans(
    rows: dict[str, list], tasks: dict[int, str], data_set: DataSet
) -> list[tuple[float, float, str]]:
    """Return each run of rows with one task as (first s, last s, sentence)."""
    half = 0.5 / data_set.fps
    times, task = np.array(rows["timestamp"], float), np.array(rows["task_index"])
    starts = np.flatnonzero(np.diff(task, prepend=task[0] - 1))
    spans = []
    for begin, end in zip(starts, [*starts[1:], len(task)]):
        if int(task[begin]) not in tasks:
            raise SourceError(
                f"{data_set.root}: no sentence for task {int(task[begin])}, there are those of "
                f"{sorted(tasks)[:10]}"
            )
        spans.append((times[begin] - half, times[end - 1] + half, tasks[int(task[begin])]))
    return spans


def _clips(path: Path, settings: ReadSettings) -> list[tuple[str, int]]:
    data_set = open_data_set(path)
    _camera(data_set, settings)  # one error for the data set instead of one per episode
    indices = episode_indices(data_set)
    return [(f"{path.name}_episode_{index:06d}", index) for index in indices]


def _matches(path: Path) -> bool:
    if not path.is_dir():
        return False
    if (path / INFO_FILE).is_file():
        return True
    # Without it, it is still one, a broken one, if the other folders are there.
    return (path / "meta").is_dir() and any((path / n).is_dir() for n in ("data", "videos"))


READER = Reader(matches=_matches, clips=_clips, read=read)
