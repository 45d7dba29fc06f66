# SPDX-License-Identifier: Apache-2.0
"""Episodes as lessons: the same format, with the rows of `lesson_rows` and pictures as robots see.

Points that rest are those that the robot's own selector chooses there, on things that nothing
moving is part of. Pictures are squeezed to the model's size by area, as the forecaster does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from mu0_core.data.captions import CaptionEntry, Captions
from mu0_core.data.episode import EpisodeReader
from mu0_core.data.episode_writer import EpisodeWriter
from mu0_core.errors import DataError, NoQueryPointsError
from mu0_core.geometry import camera
from mu0_core.inference.keypoints import PlaneSelector, SelectorSettings, fit_plane
from mu0_core.training.adaptation.lesson_rows import (
    LessonRows,
    LessonSettings,
    in_turn,
    joined,
    known_still_rows,
    moving_rows,
    still_rows,
)
from mu0_core.types import CameraIntrinsics, RgbdFrame

_SELECTED = 32  # query points, as many as a robot at work asks about


@dataclass(frozen=True, slots=True)
class LessonForm:
    """What lessons are made for.

    Attributes:
        history_len, future_len: of the model.
        side_px: width and height of its images.
    """

    history_len: int
    future_len: int
    side_px: int

    def open(self, directory: Path) -> EpisodeReader:
        """Return the reader of an episode; raises `DataError` when it is broken or too short."""
        return EpisodeReader(directory, history_len=0, future_len=self.future_len, with_depth=True)


def make_lessons(
    source: Path,
    folder: Path,
    form: LessonForm,
    settings: LessonSettings,
    sentence: str | None,
    seed: int,
) -> int:
    """Write the lessons of an episode to ``folder``; return how many slots they have.

    0 means that nothing which a robot may ask about moves in it; nothing is written then.

    Args:
        source: the episode.
        folder: to be made; it is there whole or not at all.
        form: of the model.
        settings: which rows.
        sentence: for all frames; None keeps the episode's own.
        seed: of the choice among rows.

    Raises:
        DataError: the episode is broken or has fewer steps than the model, or ``folder`` exists.
    """
    episode = form.open(source)
    chosen = list(_rows(episode, settings, np.random.default_rng(seed)))
    if not any(rows.moves.any() for _, rows in chosen):
        return 0
    width, height = episode.image_size
    captions = [
        CaptionEntry(k, k, text)
        for k, (frame, _) in enumerate(chosen)
        for text in ([(sentence,)] if sentence is not None else episode.captions.at(frame))
    ]
    lenses = episode.intrinsics()
    side = form.side_px
    frames = [frame for frame, _ in chosen]
    writer = EpisodeWriter(
        np.stack([_squeezed(episode.images[k], side, cv2.INTER_AREA) for k in frames]),
        np.stack([_squeezed(_depth(episode, k), side, cv2.INTER_NEAREST) for k in frames]),
        np.stack([_matrix(lenses[k].scaled(side, side)) for k in frames]),
        np.tile(np.eye(4), (len(frames), 1, 1)),  # nobody asks where the camera was
        Captions(tuple(captions)),
    )
    scale = np.array([side / width, side / height, 1.0])
    for k, (_, rows) in enumerate(chosen):
        future = rows.future * scale
        past = np.full((len(rows), form.history_len + 1, 3), -np.inf)
        past[:, 0] = future[:, 0]
        padded = np.full((len(rows), form.future_len + 1, 3), -np.inf)
        padded[:, : future.shape[1]] = future[:, : form.future_len + 1]
        counts = np.ones(len(rows), bool)  # also what rests
        writer.add_slot(k, padded, past, counts, rows.cluster_ids)
    writer.write(folder)
    return len(chosen)


def _rows(
    episode: EpisodeReader, settings: LessonSettings, rng: np.random.Generator
) -> Iterator[tuple[int, LessonRows]]:
    """Yield frame and rows of every slot with a motion, and of the frames behind the last one."""
    lenses = episode.intrinsics()
    order = np.argsort(episode.frame_indices)
    for index in order:
        slot = episode.slot(int(index))
        look = Look(episode, slot.frame, lenses[slot.frame])
        asked = slot.is_moving & look.may_be_asked(slot.future[:, 0])
        moving = moving_rows(replace(slot, is_moving=asked), settings, rng)
        if not len(moving):
            continue
        columns = moving.future.shape[1]
        rest = known_still_rows(slot, columns, settings, rng)
        if not len(rest):
            anchors = slot.future[slot.is_moving & slot.valid_future[:, 0], 0]
            rest = _resting(look, anchors, columns, settings, rng)
        yield slot.frame, joined(moving, rest)
    for frame in _afterwards(episode.frame_indices[order], len(episode.images)):
        look = Look(episode, frame, lenses[frame])
        rest = _resting(look, np.empty((0, 3)), settings.min_steps + 1, settings, rng)
        if len(rest):
            yield frame, rest


def _afterwards(frames: np.ndarray, count: int) -> range:
    """Return frames behind the last slot, as far apart as slots are: there the task is over."""
    if len(frames) < 2:
        return range(0)
    step = int(np.median(np.diff(frames)))
    return range(int(frames[-1]) + step, count, step) if step else range(0)


def _resting(
    look: Look,
    moving: np.ndarray,
    columns: int,
    settings: LessonSettings,
    rng: np.random.Generator,
) -> LessonRows:
    """Return resting rows at the robot's own points on things that nothing moving touches."""
    places, entities = look.query_points()
    apart = np.linalg.norm(look.metres(places)[:, None] - look.metres(moving)[None], axis=-1)
    touched = entities[apart.min(axis=1, initial=np.inf) <= settings.clear_m]
    clear = np.flatnonzero(~np.isin(entities, touched))
    chosen = places[in_turn(clear, entities, settings.still, rng)]
    return still_rows(chosen, columns, np.full(len(chosen), -1, np.int64))


class Look:
    """A frame as the robot's selector sees it. Places are x px, y px from the corner, z m."""

    def __init__(self, episode: EpisodeReader, frame: int, lens: CameraIntrinsics) -> None:
        self._lens, depth_m = lens, _depth(episode, frame)
        self._frame = RgbdFrame(np.asarray(episode.images[frame]), depth_m, lens, "camera", 0)

    def metres(self, places: np.ndarray) -> np.ndarray:
        """Return places (K, 3) in the optical frame."""
        return camera.unproject(places.astype(float) - (0.5, 0.5, 0.0), self._lens)

    def query_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Return places (K, 3) that a robot would ask about and their entities (K,)."""
        try:
            query = PlaneSelector().select(self._frame, _SELECTED)
        except NoQueryPointsError:  # no table
            return np.empty((0, 3)), np.empty(0, np.int64)
        places = np.concatenate([query.uv_px + 0.5, query.depth_m[:, None]], axis=1)
        known = np.isfinite(places).all(axis=1)
        return places[known].astype(float), query.entity_ids[known].astype(np.int64)

    def may_be_asked(self, places: np.ndarray) -> np.ndarray:
        """Return (K,) bool: on what stands on the table; all where there is no table."""
        limits = SelectorSettings()
        rows, columns = np.mgrid[: self._lens.height : 4, : self._lens.width : 4]
        grid = np.stack([columns, rows, self._frame.depth_m[::4, ::4]], axis=-1).reshape(-1, 3)
        known = np.isfinite(grid[:, 2]) & (grid[:, 2] > 0)
        try:
            normal, offset = fit_plane(camera.unproject(grid[known], self._lens), limits)
        except NoQueryPointsError:
            return np.ones(len(places), bool)
        height = self.metres(places) @ normal + offset
        return (height > limits.min_height_m) & (height < limits.max_height_m)


def _depth(episode: EpisodeReader, frame: int) -> np.ndarray:
    if episode.depth_m is None:
        raise DataError(f"{episode.directory}: opened without depth")
    return np.asarray(episode.depth_m[frame], np.float32)


def _squeezed(image: np.ndarray, side: int, how: int) -> np.ndarray:
    if image.shape[:2] == (side, side):
        return np.asarray(image)
    return cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=how)


def _matrix(lens: CameraIntrinsics) -> np.ndarray:
    return np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1.0]])
