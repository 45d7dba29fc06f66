# SPDX-License-Identifier: Apache-2.0
"""From tracks to the rows of an episode (stages 4 and 5 of TraceExtract).

Rows are aligned to the camera of their frame, at equal path length, the timed version beside it.
Only here pixels with integer centres become pixels from the image's corner.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mu0_core.data.arc_length import resample_tracks
from mu0_core.data.episode_writer import FUTURE_COLUMNS, HISTORY_COLUMNS
from mu0_core.errors import ConfigError
from mu0_core.trace_extract.records import Drops, Geometry, SlotRecord, Tracks
from mu0_core.trace_extract.stages.compensation import (
    MovingSettings,
    displacement_px,
    seen_from,
)


@dataclass(frozen=True, slots=True)
class SlotSettings:
    """Which rows an episode gets.

    Attributes:
        every_frames: distance of the frames that get a slot.
        min_rows: moving points that such a frame must show.
        max_rows: points kept of a frame, drawn at random beyond.
        still_rows: points that do not move, kept beside the moving ones (paper: 0).
        moving: when a point moves.
        seed: of the drawing.
    """

    every_frames: int = 5
    min_rows: int = 1
    max_rows: int = 256
    still_rows: int = 0
    moving: MovingSettings = field(default_factory=MovingSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.every_frames < 1 or not 1 <= self.min_rows <= self.max_rows or self.still_rows < 0:
            raise ConfigError(
                f"every_frames {self.every_frames} >= 1, 1 <= min_rows {self.min_rows} <= "
                f"max_rows {self.max_rows}, still_rows {self.still_rows} >= 0 are needed"
            )


def build_slots(
    tracks: Tracks, geometry: Geometry, settings: SlotSettings
) -> tuple[list[SlotRecord], Drops]:
    """Return the slots of a clip and how many frames gave none."""
    rng = np.random.default_rng(settings.seed)
    slots, drops = [], Drops()
    for frame in range(0, tracks.visible.shape[1] - 1, settings.every_frames):
        rows = _rows(tracks, geometry, frame, settings, rng)
        if rows is None:
            drops = drops.plus("frames without moving points", 1)
        else:
            slots.append(_slot(tracks, geometry, frame, *rows))
    return slots, drops


def _rows(
    tracks: Tracks, geometry: Geometry, frame: int, settings: SlotSettings, rng
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the chosen tracks and which of them move, or None when too few do."""
    here = tracks.visible[:, frame]
    far = displacement_px(tracks, geometry, frame, settings.moving)
    moves = here & (far > settings.moving.min_displacement_px)
    if moves.sum() < settings.min_rows:
        return None
    moving = _draw(np.flatnonzero(moves), settings.max_rows, rng)
    still = _draw(np.flatnonzero(here & ~moves), settings.still_rows, rng)
    return np.concatenate([moving, still]), np.arange(len(moving) + len(still)) < len(moving)


def _draw(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= count else np.sort(rng.choice(rows, count, replace=False))


def _slot(
    tracks: Tracks, geometry: Geometry, frame: int, rows: np.ndarray, is_moving: np.ndarray
) -> SlotRecord:
    lens = geometry.intrinsics
    places = seen_from(tracks.world_m[rows], geometry.T_world_camera[frame], geometry)
    places[..., :2] += 0.5
    seen = tracks.visible[rows] & np.isfinite(places).all(axis=-1)
    timed = np.where(seen[..., None], places, -np.inf)
    future, history = timed[:, frame:], timed[:, frame::-1]
    seen_ahead, seen_back = seen[:, frame:], seen[:, frame::-1]
    size = (lens.width, lens.height)
    ahead = resample_tracks(future, seen_ahead, *size, max_steps=FUTURE_COLUMNS)
    back = resample_tracks(history, seen_back, *size, max_steps=HISTORY_COLUMNS)
    return SlotRecord(
        frame=frame,
        future=ahead.points,
        history=back.points,
        timed_future=future[:, :FUTURE_COLUMNS],
        timed_history=history[:, :HISTORY_COLUMNS],
        is_moving=is_moving,
        cluster_ids=tracks.cluster_ids[rows],
    )
