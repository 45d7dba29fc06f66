# SPDX-License-Identifier: Apache-2.0
"""Long clips in chunks: points are handed from chunk to chunk, forwards and then backwards.

A tracker only has to follow points forwards through one chunk. Points are 2D (pixels) or 3D
(metres in the world, as TAPIP3D takes them); nothing here depends on which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ConfigError, InferenceError

TrackChunk = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(order (n,) frames, start (N,) places in order, points (N, D)) -> (N, n, D), (N, n) bool.

``order`` rises by one, or falls by one in the backward pass. What is returned for places before a
point's start is not used.
"""


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """How a clip is cut.

    Attributes:
        frames: of a chunk (paper: 360).
        overlap: frames that a chunk shares with the one before. A point goes on from the last of
            them in which it was seen; one that was seen in none of them ends there.
    """

    frames: int = 360
    overlap: int = 24

    def __post_init__(self) -> None:
        if not 1 <= self.overlap < self.frames:
            raise ConfigError(
                f"overlap {self.overlap} must be in 1..{self.frames - 1}, below a chunk's "
                f"{self.frames} frames"
            )


def track_in_chunks(
    track_chunk: TrackChunk,
    frames: int,
    start: np.ndarray,
    points: np.ndarray,
    settings: ChunkSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Follow points through all frames of a clip.

    Args:
        track_chunk: follows points forwards through one chunk.
        frames: T of the clip.
        start: (P,) frame of each point, 0..T-1.
        points: (P, D) where it is in that frame.
        settings: how the clip is cut.

    Returns:
        paths (P, T, D) float32, NaN where not followed, and seen (P, T) bool.

    Raises:
        InferenceError: the tracker returned other shapes than asked for.
    """
    forward = _sweep(track_chunk, np.arange(frames), start, points, settings)
    paths, seen = forward
    early = np.flatnonzero(start > 0)
    if len(early):
        order = np.arange(frames)[::-1]
        back, back_seen = _sweep(
            track_chunk, order, frames - 1 - start[early], points[early], settings
        )
        before = np.arange(frames) < start[early, None]
        paths[early] = np.where(before[..., None], back[:, ::-1], paths[early])
        seen[early] = np.where(before, back_seen[:, ::-1], seen[early])
    return paths, seen


def _sweep(
    track_chunk: TrackChunk,
    order: np.ndarray,
    start: np.ndarray,
    points: np.ndarray,
    settings: ChunkSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Follow points in the direction of ``order``; like `track_in_chunks`, in that order."""
    count, frames = len(points), len(order)
    paths = np.full((count, frames, points.shape[1]), np.nan, np.float32)
    seen = np.zeros((count, frames), bool)
    paths[np.arange(count), start] = points
    seen[np.arange(count), start] = True
    first = 0
    while True:
        end = min(first + settings.frames, frames)
        begin = _hand_over(seen, start, first, end, settings.overlap)
        rows = np.flatnonzero((begin >= 0) & (begin < end - 1))
        if len(rows):
            begin = begin[rows]
            found, visible = track_chunk(order[first:end], begin - first, paths[rows, begin])
            _check(found, visible, len(rows), end - first, points.shape[1])
            visible = visible & np.isfinite(found).all(axis=-1)
            later = np.arange(first, end) > begin[:, None]
            window = paths[rows, first:end]
            paths[rows, first:end] = np.where(later[..., None], found, window)
            seen[rows, first:end] = np.where(later, visible, seen[rows, first:end])
        if end == frames:
            return paths, seen
        first = end - settings.overlap


def _hand_over(
    seen: np.ndarray, start: np.ndarray, first: int, end: int, overlap: int
) -> np.ndarray:
    """Return (P,) the place from which each point is followed in this chunk; -1 = it is not.

    New points begin where they were proposed, others at the last place of the overlap in which
    they were seen.
    """
    new = (start >= first) & (start < end) & ((first == 0) | (start >= first + overlap))
    place = np.where(new, start, -1)
    if first == 0:
        return place
    common = seen[:, first : first + overlap]
    last = first + overlap - 1 - np.argmax(common[:, ::-1], axis=1)
    return np.where((start < first + overlap) & common.any(axis=1), last, place)


def _check(found: np.ndarray, visible: np.ndarray, points: int, frames: int, axes: int) -> None:
    if found.shape != (points, frames, axes) or visible.shape != (points, frames):
        raise InferenceError(
            f"the tracker returned points {found.shape} and visibility {visible.shape}, expected "
            f"{(points, frames, axes)} and {(points, frames)}"
        )
