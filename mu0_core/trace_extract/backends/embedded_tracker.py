# SPDX-License-Identifier: Apache-2.0
"""The tracker that needs packages only: Lucas-Kanade, depth, and features to find points again.

It is progressive: points live on in the world frame through the whole clip, and new ones start
where an entity has too few. Each is followed forwards from its frame and then backwards. A lost
point is looked for where it was last seen, and by its patch feature.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from mu0_core.errors import ConfigError, DataError
from mu0_core.trace_extract.backends.klt_step import Shot, StepSettings, depth_near, step
from mu0_core.trace_extract.backends.patch_memory import PatchMemory, PatchSettings
from mu0_core.trace_extract.backends.progressive import (
    Crowd,
    ProgressSettings,
    select,
    uncovered,
)
from mu0_core.trace_extract.records import Geometry, Keypoints, Tracks
from mu0_core.trace_extract.stages.frame_view import smooth_depth


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """How points are kept and found.

    Attributes:
        search_frames: frames for which a lost point is looked for.
        cover: which proposals become points.
        step: from one frame to the next.
        patches: how a lost point is recognised.
    """

    search_frames: int = 60
    cover: ProgressSettings = field(default_factory=lambda: ProgressSettings(max_points=900))
    step: StepSettings = field(default_factory=StepSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)

    def __post_init__(self) -> None:
        if self.search_frames < 0:
            raise ConfigError(f"search_frames {self.search_frames} must not be negative")


class EmbeddedTracker:
    """Implements `PointTracker`. Deterministic."""

    name = "embedded"

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()

    def track(self, rgb: np.ndarray, geometry: Geometry, queries: Keypoints) -> Tracks:
        """Return the tracks of the queries that were taken; see `PointTracker`.

        Raises:
            DataError: none of the queries could be taken.
        """
        book = _Book(len(rgb))
        forward = _Sweep(book, rgb, geometry, self.settings)
        for frame in range(len(rgb)):
            forward.advance(frame)
            forward.add(frame, queries)
        if not len(book):
            raise DataError(f"none of {len(queries.frame)} keypoints has a clear depth")
        backward = _Sweep(book, rgb, geometry, self.settings)
        for frame in range(len(rgb) - 1, -1, -1):
            backward.advance(frame)
            backward.join(frame)
        return book.tracks()


class _Book:
    """All tracks so far, growing."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self.uv_px = np.zeros((0, frames, 2), np.float32)
        self.world_m = np.zeros((0, frames, 3), np.float32)
        self.cluster_ids = np.zeros(0, np.int32)
        self.query_frame = np.zeros(0, np.int32)
        self.is_counted = np.zeros(0, bool)  # among the points that an entity may have

    def __len__(self) -> int:
        return len(self.query_frame)

    def add(
        self,
        frame: int,
        uv: np.ndarray,
        world: np.ndarray,
        clusters: np.ndarray,
        is_counted: np.ndarray,
    ) -> None:
        for name, width in (("uv_px", 2), ("world_m", 3)):
            fresh = np.full((len(uv), self._frames, width), np.nan, np.float32)
            setattr(self, name, np.concatenate([getattr(self, name), fresh]))
        self.cluster_ids = np.concatenate([self.cluster_ids, clusters.astype(np.int32)])
        self.query_frame = np.concatenate([self.query_frame, np.full(len(uv), frame, np.int32)])
        self.is_counted = np.concatenate([self.is_counted, is_counted])
        self.uv_px[-len(uv) :, frame] = uv
        self.world_m[-len(uv) :, frame] = world

    def tracks(self) -> Tracks:
        visible = np.isfinite(self.uv_px).all(axis=-1) & np.isfinite(self.world_m).all(axis=-1)
        return Tracks(
            np.where(visible[..., None], self.uv_px, np.nan),
            np.where(visible[..., None], self.world_m, np.nan),
            visible,
            self.cluster_ids,
            self.query_frame,
        )


class _Sweep:
    """Follows points in one direction of time; writes into the book."""

    def __init__(
        self, book: _Book, rgb: np.ndarray, geometry: Geometry, settings: TrackerSettings
    ) -> None:
        self._book, self._rgb, self._geometry, self._settings = book, rgb, geometry, settings
        self._here: Shot | None = None
        self._live = np.zeros(0, int)  # rows of the book that are seen in the present frame
        self._lost: dict[int, tuple[np.ndarray, int]] = {}  # row -> last place, frame
        self._memory = PatchMemory(settings.patches)

    def advance(self, frame: int) -> None:
        """Go to a frame: follow what is live, look for what is lost."""
        there = self._shot(frame)
        if self._here is not None:
            rows = self._live
            previous = self._frame
            uv, world, found = step(
                self._here,
                there,
                self._book.uv_px[rows, previous].astype(float),
                self._book.world_m[rows, previous].astype(float),
                self._settings.step,
            )
            for row in rows[~found]:
                self._lost[int(row)] = (self._book.world_m[row, previous].astype(float), previous)
            self._write(rows[found], frame, uv[found], world[found])
            self._live = rows[found]
            self._search(there, frame)
        self._here, self._frame = there, frame

    def add(self, frame: int, queries: Keypoints) -> None:
        """Begin new points where an entity of this frame has too few."""
        rows = np.flatnonzero(queries.frame == frame)
        z = smooth_depth(self._here.depth_m, queries.uv_px[rows].astype(float))
        rows, z = rows[np.isfinite(z)], z[np.isfinite(z)]
        book, live = self._book, self._live
        crowd = Crowd(book.uv_px[live, frame], book.cluster_ids[live], book.is_counted[live])
        width_px = self._rgb.shape[2]
        chosen = uncovered(select(queries, rows), crowd, width_px, self._settings.cover)
        if not len(chosen):
            return
        new, first = select(queries, rows[chosen]), len(book)
        uv = new.uv_px.astype(float)
        book.add(frame, uv, self._here.lift(uv, z[chosen]), new.cluster_ids, ~new.from_prior)
        fresh = np.arange(first, len(book))
        self._memory.learn(fresh, self._here.grey, uv)
        self._live = np.concatenate([live, fresh])

    def join(self, frame: int) -> None:
        """Take up the points that began in this frame (when going backwards)."""
        rows = np.flatnonzero(self._book.query_frame == frame)
        self._memory.learn(rows, self._here.grey, self._book.uv_px[rows, frame].astype(float))
        self._live = np.union1d(self._live, rows)

    def _write(self, rows: np.ndarray, frame: int, uv: np.ndarray, world: np.ndarray) -> None:
        self._book.uv_px[rows, frame] = uv
        self._book.world_m[rows, frame] = world

    def _search(self, there: Shot, frame: int) -> None:
        """Look for lost points where they were last seen."""
        for row, (_, when) in list(self._lost.items()):
            if abs(frame - when) > self._settings.search_frames:
                del self._lost[row]
        rows = np.array(sorted(self._lost), int)
        if not len(rows):
            return
        world = np.stack([self._lost[int(row)][0] for row in rows])
        place = there.pixels(world)
        uv, alike = self._memory.find(rows, there.grey, place[:, :2])
        z = depth_near(there.depth_m, uv, place[:, 2], self._settings.step.max_step_m)
        found = alike & (np.abs(z - place[:, 2]) <= self._settings.step.max_step_m / 2)
        back = there.lift(uv[found], z[found])
        self._write(rows[found], frame, uv[found], back)
        self._live = np.union1d(self._live, rows[found])
        for row in rows[found]:
            del self._lost[int(row)]

    def _shot(self, frame: int) -> Shot:
        geometry = self._geometry
        grey = cv2.cvtColor(np.ascontiguousarray(self._rgb[frame]), cv2.COLOR_RGB2GRAY)
        depth = np.asarray(geometry.depth_m[frame], np.float32)
        return Shot(grey, depth, geometry.T_world_camera[frame], geometry.intrinsics)
