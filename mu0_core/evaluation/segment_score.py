# SPDX-License-Identifier: Apache-2.0
"""How well motion is cut: F1 of segment boundaries within a tolerance in frames.

A boundary is the frame that begins a segment behind another one. A true one may be a stretch of
frames, because nobody can say where in a halt one motion ends and the next begins. Clips are
pooled, so that a clip with many boundaries counts more than one with none.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mu0_core.errors import DataError, ShapeError


@dataclass(frozen=True, slots=True)
class BoundaryScore:
    """Counts of boundaries over clips, and what follows from them.

    Attributes:
        matched: pairs of a found and a true boundary, each used once.
        found: boundaries; true: boundaries.
        offset: mean distance of the pairs in frames, 0 inside a stretch; NaN without a pair.
    """

    matched: int
    found: int
    true: int
    offset: float

    @property
    def precision(self) -> float:
        """Return the share of found boundaries that are true, NaN when none was found."""
        return self.matched / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Return the share of true boundaries that were found, NaN when there is none."""
        return self.matched / self.true if self.true else float("nan")

    @property
    def f1(self) -> float:
        """Return 2 matched / (found + true), NaN when there is neither."""
        both = self.found + self.true
        return 2 * self.matched / both if both else float("nan")


def inner_boundaries(bounds: np.ndarray) -> np.ndarray:
    """Return the first frame of each segment but the first, of bounds (S, 2).

    Raises:
        ShapeError: bounds are not (S, 2).
    """
    if bounds.ndim != 2 or bounds.shape[1] != 2:
        raise ShapeError(f"bounds {bounds.shape}: expected (S, 2)")
    return bounds[1:, 0]


def score_boundaries(
    found: Sequence[np.ndarray], true: Sequence[np.ndarray], tolerance: int
) -> BoundaryScore:
    """Return the score of found against true boundaries, clip by clip.

    As many pairs as possible are made; a pair is at most ``tolerance`` frames apart.

    Args:
        found: of each clip (n,) frames.
        true: of each clip (m,) frames, or (m, 2) first and last frame of stretches that do not
            overlap.
        tolerance: in frames, 0 = the same frame, or inside the stretch.

    Raises:
        ShapeError: the numbers of clips differ, or a clip's boundaries have another shape.
        DataError: the tolerance is negative, a boundary is not finite, or stretches overlap.
    """
    if len(found) != len(true):
        raise ShapeError(f"{len(found)} clips found, {len(true)} true ones")
    if tolerance < 0:
        raise DataError(f"tolerance {tolerance} must not be negative")
    distances: list[float] = []
    for one, other in zip(found, true, strict=True):
        if np.ndim(one) != 1:
            raise ShapeError(f"found boundaries {np.shape(one)}: expected (n,)")
        distances += _pair_distances(_stretches(one), _stretches(other), tolerance)
    offset = float(np.mean(distances)) if distances else float("nan")
    return BoundaryScore(len(distances), sum(map(len, found)), sum(map(len, true)), offset)


def halts(motion: Sequence[Sequence[int]], min_frames: int = 3) -> np.ndarray:
    """Return (n, 2) the stretches between motions in which a boundary may stand.

    Args:
        motion: first and last frame of each motion, in order.
        min_frames: shorter halts are none.
    """
    pairs = [(before[1] + 1, after[0]) for before, after in itertools.pairwise(motion)]
    kept = [(first, last) for first, last in pairs if last - first + 1 >= min_frames]
    return np.array(kept, int).reshape(-1, 2)


def _stretches(frames: np.ndarray) -> np.ndarray:
    """Return (n, 2) sorted stretches of boundaries (n,) or (n, 2)."""
    frames = np.asarray(frames, float)
    if frames.ndim == 1:
        frames = np.stack([frames, frames], axis=1)
    if frames.ndim != 2 or frames.shape[1] != 2:
        raise ShapeError(f"boundaries {frames.shape}: expected (n,) or (n, 2)")
    if not np.isfinite(frames).all():
        raise DataError("a boundary is NaN or infinite")
    frames = frames[np.argsort(frames[:, 0], kind="stable")]
    if (frames[:, 0] > frames[:, 1]).any() or (frames[1:, 0] < frames[:-1, 1]).any():
        raise DataError("stretches of boundaries must end behind their start and not overlap")
    return frames


def _pair_distances(found: np.ndarray, true: np.ndarray, tolerance: int) -> list[float]:
    """Return the distances of the most pairs: in order, each takes the first that is in reach."""
    distances, left, right = [], 0, 0
    while left < len(found) and right < len(true):
        behind = found[left, 0] - true[right, 1]
        before = true[right, 0] - found[left, 1]
        if max(behind, before) <= tolerance:
            distances.append(float(max(behind, before, 0)))
            left, right = left + 1, right + 1
        elif before > 0:
            left += 1
        else:
            right += 1
    return distances
