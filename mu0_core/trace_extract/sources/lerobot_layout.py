# SPDX-License-Identifier: Apache-2.0
"""Where a LeRobot data set keeps an episode.

v2.1 has one parquet file and one video per episode and lists episodes and tasks as JSON lines;
v3.0 puts many episodes into each file and says in ``meta/episodes`` which rows and seconds are
whose.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mu0_core.errors import SourceError
from mu0_core.trace_extract.sources.reading import import_extra
from mu0_core.trace_extract.sources.sidecar import read_json, read_text

INFO_FILE = "meta/info.json"
VERSIONS = ("v2.1", "v3.0")


@dataclass(frozen=True, slots=True)
class DataSet:
    """What ``meta/info.json`` says.

    Attributes:
        root: folder of the data set.
        info: its content.
        fps: frames per second.
        cameras: image keys, those stored as video first, each group by name; no depth maps.
    """

    root: Path
    info: dict
    fps: float
    cameras: tuple[str, ...]

    @property
    def is_v3(self) -> bool:
        """Return whether many episodes share a file."""
        return self.info["codebase_version"] == VERSIONS[1]

    def is_video(self, camera: str) -> bool:
        """Return whether a camera's images are a video, not pictures in the parquet file."""
        return self.info["features"][camera]["dtype"] == "video"


@dataclass(frozen=True, slots=True)
class EpisodeFiles:
    """Where one episode of one camera lies.

    Attributes:
        data: parquet file with its rows.
        video: file with its frames, or None when they are pictures in ``data``.
        begin_s, end_s: its part of the video.
    """

    data: Path
    video: Path | None
    begin_s: float = 0.0
    end_s: float = np.inf


def open_data_set(root: Path) -> DataSet:
    """Read ``meta/info.json``.

    Raises:
        SourceError: it is missing, of another version, or without cameras.
    """
    path = root / INFO_FILE
    if not path.is_file():
        raise SourceError(f"{path}: missing; a LeRobot data set ({', '.join(VERSIONS)}) has one")
    info = read_json(path)
    version = info.get("codebase_version") if isinstance(info, dict) else None
    if version not in VERSIONS:
        raise SourceError(
            f"{path}: LeRobot codebase_version {version!r}, allowed: {', '.join(VERSIONS)}"
        )
    fps, features = info.get("fps"), info.get("features")
    if not isinstance(fps, int | float) or not fps > 0 or not isinstance(features, dict):
        raise SourceError(f"{path}: needs features and a positive fps, has fps {fps!r}")
    cameras = [
        (feature["dtype"] == "image", key)
        for key, feature in features.items()
        if isinstance(feature, dict)
        and feature.get("dtype") in ("video", "image")
        and not _is_depth_map(feature)
    ]
    if not cameras:
        raise SourceError(f"{path}: no feature with dtype video or image")
    return DataSet(root, info, float(fps), tuple(key for _, key in sorted(cameras)))


def episode_indices(data_set: DataSet) -> list[int]:
    """Return the index of every episode, in order.

    Raises:
        SourceError: the list of episodes is missing or broken, or empty.
    """
    if data_set.is_v3:
        rows = [row for file in _episode_tables(data_set) for row in _rows(file, _INDEX)]
    else:
        rows = _json_lines(data_set.root / "meta/episodes.jsonl")
    indices = sorted(int(row["episode_index"]) for row in rows if "episode_index" in row)
    if not indices:
        raise SourceError(f"{data_set.root}: no episodes")
    return indices


def find_episode(data_set: DataSet, index: int, camera: str) -> EpisodeFiles:
    """Return where an episode lies.

    Raises:
        SourceError: the data set does not have it, or one of its files is missing.
    """
    files = (_find_v3 if data_set.is_v3 else _find_v21)(data_set, index, camera)
    for file in (files.data, files.video):
        if file is not None and not file.is_file():
            raise SourceError(f"{file}: missing, episode {index} is in it")
    return files


def read_tasks(data_set: DataSet) -> tuple[Path, dict[int, str]]:
    """Return the file with the task sentences, and index -> sentence.

    Raises:
        SourceError: the file is missing or broken.
    """
    if not data_set.is_v3:
        path = data_set.root / "meta/tasks.jsonl"
        try:
            return path, {int(r["task_index"]): str(r["task"]) for r in _json_lines(path)}
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(f"{path}: expected task_index and task ({error!r})") from error
    path = data_set.root / "meta/tasks.parquet"
    tasks = {}
    for row in _rows(path):
        # The sentence is the index of a pandas frame, whose column has had several names.
        words = [value for value in row.values() if isinstance(value, str)]
        if len(words) != 1 or "task_index" not in row:
            raise SourceError(f"{path}: expected task_index and a sentence, has {list(row)}")
        tasks[int(row["task_index"])] = words[0]
    return path, tasks


def read_columns(path: Path, columns: Sequence[str], episode: int) -> dict[str, list]:
    """Return columns of the rows of one episode in a parquet file.

    Raises:
        SourceError: missing or broken file, missing column, or no such rows.
    """
    table = _read_table(path, columns, [("episode_index", "=", episode)])
    if not table.num_rows:
        raise SourceError(f"{path}: no rows of episode {episode}")
    return table.to_pydict()


_INDEX = ("episode_index",)


def _find_v21(data_set: DataSet, index: int, camera: str) -> EpisodeFiles:
    values = {
        "episode_index": index,
        "episode_chunk": index // int(data_set.info.get("chunks_size", 1000)),
        "video_key": camera,
    }
    video = _path(data_set, "video_path", values) if data_set.is_video(camera) else None
    return EpisodeFiles(_path(data_set, "data_path", values), video)


def _find_v3(data_set: DataSet, index: int, camera: str) -> EpisodeFiles:
    is_video, video = data_set.is_video(camera), f"videos/{camera}"
    columns = ["episode_index", "data/chunk_index", "data/file_index"]
    if is_video:
        columns += [f"{video}/chunk_index", f"{video}/file_index"]
        columns += [f"{video}/from_timestamp", f"{video}/to_timestamp"]
    for file in _episode_tables(data_set):
        for row in _rows(file, columns, [("episode_index", "=", index)]):
            data = _path(data_set, "data_path", _file_values(row, "data"))
            if not is_video:
                return EpisodeFiles(data, None)
            return EpisodeFiles(
                data,
                _path(data_set, "video_path", {**_file_values(row, video), "video_key": camera}),
                float(row[f"{video}/from_timestamp"]),
                float(row[f"{video}/to_timestamp"]),
            )
    raise SourceError(f"{data_set.root}: no episode {index}")


def _file_values(row: dict, prefix: str) -> dict[str, int]:
    return {key: int(row[f"{prefix}/{key}"]) for key in ("chunk_index", "file_index")}


def _path(data_set: DataSet, key: str, values: dict) -> Path:
    pattern = data_set.info.get(key)
    try:
        relative = Path(pattern.format(**values))
    except (AttributeError, KeyError, ValueError, IndexError):
        relative = Path("/")
    if relative.is_absolute() or ".." in relative.parts:
        raise SourceError(
            f"{data_set.root / INFO_FILE}: {key} is {pattern!r}, expected a pattern of a path in "
            f"the data set with {', '.join(values)}"
        )
    return data_set.root / relative


def _episode_tables(data_set: DataSet) -> list[Path]:
    files = sorted((data_set.root / "meta/episodes").glob("*/*.parquet"))
    if not files:
        raise SourceError(f"{data_set.root / 'meta/episodes'}: no parquet files")
    return files


def _is_depth_map(feature: dict) -> bool:
    stated = {**(feature.get("video_info") or {}), **(feature.get("info") or {})}
    return bool(stated.get("is_depth_map") or stated.get("video.is_depth_map"))


def _rows(path: Path, columns: Sequence[str] | None = None, filters: list | None = None) -> list:
    return _read_table(path, columns, filters).to_pylist()


def _read_table(path: Path, columns: Sequence[str] | None, filters: list | None) -> object:
    parquet, arrow = import_extra("pyarrow.parquet"), import_extra("pyarrow")
    try:
        return parquet.read_table(
            path, columns=None if columns is None else list(columns), filters=filters
        )
    except (arrow.ArrowException, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SourceError(f"{path}: cannot be read as parquet ({reason})") from error


def _json_lines(path: Path) -> list[dict]:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise SourceError(f"{path}: line {number} is no JSON ({error})") from error
            if not isinstance(row, dict):
                raise SourceError(f"{path}: line {number} is no JSON object")
            rows.append(row)
    return rows
