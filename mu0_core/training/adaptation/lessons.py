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
from mu0_core.training.adaptation.lesson_rows import (
    LessonRows,
    LessonSettings,
    in_turn,
    joined,
    known_still_rows,
    moving_rows,
    still_rows,
)
from mu0_core.training.adaptation.look import Look, depths_m
from mu0_core.types import CameraIntrinsics

_AS_IT_IS = np.eye(2, 3)
_GROWN, _MOVED = 0.08, 0.10  # most change of size; of place, as a share of the picture


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
    views: int = 1,
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
        views: of each frame: as it is, and moved and scaled a little at random, so that few scenes
            do not tell where in the picture things are.

    Raises:
        DataError: the episode is broken or has fewer steps than the model, or ``folder`` exists.
    """
    episode, rng = form.open(source), np.random.default_rng(seed)
    rows = list(_rows(episode, settings, rng))
    if not any(some.moves.any() for _, some in rows):
        return 0
    lenses = episode.intrinsics()
    pictures = [
        _Picture(
            episode, frame, lenses[frame], some, _view(form.side_px, rng) if number else _AS_IT_IS
        )
        for frame, some in rows
        for number in range(views)
    ]
    captions = [
        CaptionEntry(k, k, text)
        for k, picture in enumerate(pictures)
        for text in ([(sentence,)] if sentence is not None else episode.captions.at(picture.frame))
    ]
    side = form.side_px
    writer = EpisodeWriter(
        np.stack([p.warped(episode.images, side, cv2.INTER_AREA) for p in pictures]),
        np.stack([p.warped(depths_m(episode), side, cv2.INTER_NEAREST) for p in pictures]),
        np.stack([p.camera_matrix(side) for p in pictures]),
        np.tile(np.eye(4), (len(pictures), 1, 1)),  # nobody asks where the camera was
        Captions(tuple(captions)),
    )
    for k, picture in enumerate(pictures):
        future = picture.future(side)
        count = len(future)
        past = np.full((count, form.history_len + 1, 3), -np.inf)
        past[:, 0] = future[:, 0]
        padded = np.full((count, form.future_len + 1, 3), -np.inf)
        padded[:, : future.shape[1]] = future[:, : form.future_len + 1]
        all_count = np.ones(count, bool)  # also what rests
        writer.add_slot(k, padded, past, all_count, picture.rows.cluster_ids)
    writer.write(folder)
    return len(pictures)


@dataclass(frozen=True, slots=True)
class _Picture:
    """A frame with its rows, seen through ``view`` (2, 3), pixels from the corner, of a square."""

    episode: EpisodeReader
    frame: int
    lens: CameraIntrinsics
    rows: LessonRows
    view: np.ndarray

    def warped(self, images: np.ndarray, side: int, how: int) -> np.ndarray:
        """Return the frame of ``images`` squeezed to a square and moved."""
        image = _squeezed(images[self.frame], side, how)
        centres = self.view.copy()  # OpenCV's pixels have integer centres
        centres[:, 2] += 0.5 * (self.view[:, :2].sum(axis=1) - 1)
        near = cv2.INTER_NEAREST if how == cv2.INTER_NEAREST else cv2.INTER_LINEAR
        return cv2.warpAffine(image, centres, (side, side), flags=near,
                              borderMode=cv2.BORDER_REPLICATE)  # fmt: skip

    def future(self, side: int) -> np.ndarray:
        """Return the paths (K, n + 1, 3) in the moved square."""
        width, height = self.episode.image_size
        moved = self.rows.future * [side / width, side / height, 1.0]
        moved[..., :2] = moved[..., :2] @ self.view[:, :2].T + self.view[:, 2]
        return moved

    def camera_matrix(self, side: int) -> np.ndarray:
        """Return (3, 3), pixels with integer centres."""
        lens = self.lens.scaled(side, side)
        grown, (right, down) = self.view[0, 0], self.view[:, 2]
        cx, cy = (
            grown * (c + 0.5) + shift - 0.5 for c, shift in ((lens.cx, right), (lens.cy, down))
        )
        return np.array([[grown * lens.fx, 0, cx], [0, grown * lens.fy, cy], [0, 0, 1.0]])


def _view(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random (2, 3) map of the square that grows, shrinks and moves it a little."""
    grown = rng.uniform(1 - _GROWN, 1 + _GROWN)
    moved = side * ((1 - grown) / 2 + rng.uniform(-_MOVED, _MOVED, 2))
    return np.column_stack([grown * np.eye(2), moved])


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


def _squeezed(image: np.ndarray, side: int, how: int) -> np.ndarray:
    image = np.asarray(image, np.uint8 if image.dtype == np.uint8 else np.float32)
    if image.shape[:2] == (side, side):
        return image
    return cv2.resize(image, (side, side), interpolation=how)
