# SPDX-License-Identifier: Apache-2.0
"""What is left out, and how often (stage 6 of TraceExtract).

Tracks that are short, jump, or whose depth is noise; episodes whose tracks cover too little of the
picture. Every reason is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.geometry import se3
from mu0_core.trace_extract.records import Drops, Geometry, Tracks


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """What is left out.

    Attributes:
        min_frames: frames in which a track must be seen.
        max_jump_m: change of the step from one frame to the next; beyond, the track is cut.
        max_depth_noise_m: median change of the depth step of a track, at 1 m.
        min_coverage: share of the picture that tracks must cover on average (paper: 0.6).
        coverage_grid: cells per side (paper: 16).
    """

    min_frames: int = 5
    max_jump_m: float = 0.10
    max_depth_noise_m: float = 0.02
    min_coverage: float = 0.6
    coverage_grid: int = 16

    def __post_init__(self) -> None:
        if self.min_frames < 1 or self.coverage_grid < 1 or not 0 <= self.min_coverage <= 1:
            raise ConfigError(
                f"min_frames {self.min_frames} and coverage_grid {self.coverage_grid} must be "
                f"positive, min_coverage {self.min_coverage} in [0, 1]"
            )
        if self.max_jump_m <= 0 or self.max_depth_noise_m <= 0:
            raise ConfigError(f"limits must be positive: {self}")


def clean_tracks(
    tracks: Tracks, geometry: Geometry, settings: FilterSettings
) -> tuple[Tracks, Drops]:
    """Cut tracks where they jump, leave out noisy and short ones; count each."""
    visible = tracks.visible.copy()
    jumps = _jumps(tracks)
    for track in np.flatnonzero((jumps > settings.max_jump_m).any(axis=1)):
        visible[track] &= _largest_piece(visible[track], jumps[track] > settings.max_jump_m)
    cut = int((visible != tracks.visible).any(axis=1).sum())
    noisy = _depth_noise(tracks, geometry) > settings.max_depth_noise_m
    short = visible.sum(axis=1) < settings.min_frames
    kept = ~(noisy | short)
    drops = Drops().plus("tracks cut where they jump", cut)
    drops = drops.plus("tracks with noisy depth", int(noisy.sum()))
    drops = drops.plus("tracks seen too shortly", int((short & ~noisy).sum()))
    return _select(replace(tracks, visible=visible), kept), drops


def coverage(tracks: Tracks, geometry: Geometry, settings: FilterSettings) -> np.ndarray:
    """Return (T,) the share of the cells with known depth that hold a visible point."""
    height, width = geometry.depth_m.shape[1:]
    grid = settings.coverage_grid
    shares = np.zeros(tracks.visible.shape[1])
    for frame in range(len(shares)):
        uv = tracks.uv_px[tracks.visible[:, frame], frame]
        column = np.clip((uv[:, 0] + 0.5) * grid / width, 0, grid - 1).astype(int)
        row = np.clip((uv[:, 1] + 0.5) * grid / height, 0, grid - 1).astype(int)
        covered = np.zeros((grid, grid), bool)
        covered[row, column] = True
        known = _cells_with_depth(geometry.depth_m[frame], grid)
        shares[frame] = (covered & known).sum() / max(1, known.sum())
    return shares


def _jumps(tracks: Tracks) -> np.ndarray:
    """Return (P, T) how much the step into each frame differs from the step before; 0 unknown."""
    steps = np.diff(tracks.world_m, axis=1)
    jumps = np.zeros(tracks.visible.shape)
    jumps[:, 2:] = np.linalg.norm(np.diff(steps, axis=1), axis=-1)
    return np.nan_to_num(jumps, nan=0.0)


def _largest_piece(visible: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Return (T,) bool: the piece between cuts that is seen in most frames."""
    piece = np.cumsum(cuts)
    counts = np.bincount(piece[visible], minlength=piece[-1] + 1)
    return piece == np.argmax(counts)


def _depth_noise(tracks: Tracks, geometry: Geometry) -> np.ndarray:
    """Return (P,) the median second difference of depth, scaled to 1 m; 0 for short tracks."""
    T_camera_world = se3.inverse(geometry.T_world_camera)
    depth = (
        np.einsum("tj,ptj->pt", T_camera_world[:, 2, :3], tracks.world_m) + T_camera_world[:, 2, 3]
    )
    second = np.abs(np.diff(depth, n=2, axis=1)) / np.maximum(1.0, depth[:, 1:-1] ** 2)
    noise = np.zeros(len(depth))
    long = np.isfinite(second).sum(axis=1) >= 3
    noise[long] = np.nanmedian(second[long], axis=1)
    return noise


def _cells_with_depth(depth_m: np.ndarray, grid: int) -> np.ndarray:
    """Return (grid, grid) bool: at least half of the cell's pixels have depth."""
    height, width = depth_m.shape
    rows = np.linspace(0, height, grid + 1).astype(int)[:-1]
    columns = np.linspace(0, width, grid + 1).astype(int)[:-1]
    known = np.isfinite(depth_m).astype(np.int64)
    counts = np.add.reduceat(np.add.reduceat(known, rows, axis=0), columns, axis=1)
    sizes = np.add.reduceat(np.add.reduceat(np.ones_like(known), rows, axis=0), columns, axis=1)
    return counts >= sizes / 2


def _select(tracks: Tracks, kept: np.ndarray) -> Tracks:
    """Return some tracks; one cut from its query frame begins where it is first seen."""
    visible, query_frame = tracks.visible[kept], tracks.query_frame[kept]
    rows = np.arange(len(visible))
    query_frame = np.where(visible[rows, query_frame], query_frame, visible.argmax(axis=1))
    return Tracks(
        np.where(visible[..., None], tracks.uv_px[kept], np.nan),
        np.where(visible[..., None], tracks.world_m[kept], np.nan),
        visible,
        tracks.cluster_ids[kept],
        query_frame.astype(np.int32),
    )
