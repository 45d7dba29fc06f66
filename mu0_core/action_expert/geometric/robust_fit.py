# SPDX-License-Identifier: Apache-2.0
"""The rigid motion that takes points to where they are forecast, whatever some of them do.

Weighted Kabsch (Kabsch 1976, by singular values) in rounds: points that the last fit missed by
far are left out of the next. It starts from the three points whose motion suits most others best
(least median of squares), so that up to half of the points may go elsewhere. A body with fewer
than three points, or with all of them on a line, shows no rotation; that is said, not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import DataError, ShapeError
from mu0_core.geometry.rigid_fit import rigid_fit

_ROUNDS = 6
_TRIPLES = 60
_MISSED = 3.0  # times the median residual
_FLOOR_M = 0.004  # residuals below are never outliers
_FLAT = 0.05  # second singular value of the points' spread against the first: a line


@dataclass(frozen=True, slots=True)
class RigidFit:
    """A rigid motion.

    Attributes:
        T_after_before: (4, 4).
        residual_m: weighted root mean square over the points that were kept.
        kept: (N,) bool.
        turn_known: whether the points show the rotation; if not it is none.
    """

    T_after_before: np.ndarray
    residual_m: float
    kept: np.ndarray
    turn_known: bool


def robust_fit(
    before: np.ndarray, after: np.ndarray, weights: np.ndarray | None = None
) -> RigidFit:
    """Return the motion that takes ``before`` (N, 3) to ``after`` (N, 3) best.

    Args:
        before, after: metres, in one frame.
        weights: (N,) at least 0, or None = all alike.

    Raises:
        ShapeError: the shapes disagree.
        DataError: no point has weight, or a value is not finite.
    """
    count = len(before)
    weights = np.ones(count) if weights is None else np.asarray(weights, float)
    if before.shape != (count, 3) or after.shape != (count, 3) or weights.shape != (count,):
        raise ShapeError(f"points {before.shape} and {after.shape}, weights {weights.shape}")
    finite = np.isfinite(before).all() and np.isfinite(after).all() and np.isfinite(weights).all()
    if not finite or (weights < 0).any() or not (weights > 0).any():
        raise DataError("a rigid fit needs finite points and at least one positive weight")
    kept = _start(before, after, weights)
    for _ in range(_ROUNDS):
        T, turn_known = _fit(before[kept], after[kept], weights[kept])
        missed = _missed(T, before, after)
        limit = max(_MISSED * float(np.median(missed[kept])), _FLOOR_M)
        now = (weights > 0) & (missed <= limit)
        if (now == kept).all() or not now.any():
            break
        kept = now
    squares = np.average(missed[kept] ** 2, weights=weights[kept])
    return RigidFit(T, float(np.sqrt(squares)), kept, turn_known)


def _missed(T: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.linalg.norm(before @ T[:3, :3].T + T[:3, 3] - after, axis=1)


def _start(before: np.ndarray, after: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the points (N,) bool that the first fit takes."""
    there = np.flatnonzero(weights > 0)
    if len(there) < 4:
        return weights > 0
    order, half = np.random.default_rng(0), weights[there].sum() / 2
    best, least = weights > 0, np.inf
    for _ in range(_TRIPLES):
        chosen = order.choice(there, 3, replace=False)
        T, turn_known = _fit(before[chosen], after[chosen], weights[chosen])
        missed = _missed(T, before[there], after[there])
        rank = np.argsort(missed)
        middle = missed[rank][np.searchsorted(np.cumsum(weights[there][rank]), half)]
        if turn_known and middle < least - 1e-9:
            near = missed <= max(_MISSED * middle, _FLOOR_M)
            best, least = np.isin(np.arange(len(weights)), there[near]), middle
    return best


def _fit(before: np.ndarray, after: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return T (4, 4) and whether the points tell a turn; if they do not, T only shifts."""
    share = weights / weights.sum()
    centre = share @ before
    spread = np.linalg.svd((before - centre) * np.sqrt(share)[:, None], compute_uv=False)
    if len(before) >= 3 and spread[1] > _FLAT * max(spread[0], 1e-9):
        return rigid_fit(before, after, weights), True
    T = np.eye(4)
    T[:3, 3] = share @ after - centre
    return T, False
