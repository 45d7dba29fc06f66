# SPDX-License-Identifier: Apache-2.0
"""Timing of a tip path: traces carry no time, so speed comes from the limits alone.

The way is cut at corners; each part is run from rest to rest with a trapezoid of speed. Turning
counts as way, a radian as much as `RADIAN_M`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from mu0_core.errors import ConfigError, ShapeError

RADIAN_M = 0.25
_CORNER_COSINE = np.cos(np.deg2rad(35.0))


@dataclass(frozen=True, slots=True)
class TipLimits:
    """Largest speed and acceleration of the tip, and the time between samples."""

    speed_m_s: float = 0.28
    acceleration_m_s2: float = 1.0
    period_s: float = 0.1

    def __post_init__(self) -> None:
        if not min(self.speed_m_s, self.acceleration_m_s2, self.period_s) > 0:
            raise ConfigError(f"speed, acceleration and period must be positive: {self}")


def time_poses(poses: np.ndarray, limits: TipLimits) -> np.ndarray:
    """Return T_base_tip (T, 4, 4) every period along a way of poses (K, 4, 4), from rest to rest.

    The first pose is where the tip is and is not repeated; the last is reached exactly. A way that
    leads nowhere gives one sample.

    Raises:
        ShapeError: not (K >= 1, 4, 4), or a value is not finite.
    """
    if poses.ndim != 3 or poses.shape[1:] != (4, 4) or not len(poses):
        raise ShapeError(f"poses {poses.shape}: expected (K >= 1, 4, 4)")
    if not np.isfinite(poses).all():
        raise ShapeError("poses hold NaN or infinity")
    step = _lengths(poses)
    poses = poses[np.concatenate([[True], step > 1e-6])]
    if len(poses) < 2:
        return poses[-1:].copy()
    parts = [_time_part(part, limits) for part in _parts(poses)]
    return np.concatenate(parts)


def _lengths(poses: np.ndarray) -> np.ndarray:
    """Return (K - 1,) the way between neighbours."""
    moved = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    turns = poses[:-1, :3, :3].transpose(0, 2, 1) @ poses[1:, :3, :3]
    return np.hypot(moved, RADIAN_M * Rotation.from_matrix(turns).magnitude())


def _parts(poses: np.ndarray) -> list[np.ndarray]:
    """Cut a way at its corners; neighbouring parts share a pose."""
    way = np.diff(poses[:, :3, 3], axis=0)
    length = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
    cosine = (way[1:] * way[:-1]).sum(axis=1) / (length[1:] * length[:-1])
    cuts = [0, *(np.flatnonzero(cosine < _CORNER_COSINE) + 1), len(poses) - 1]
    return [poses[a : b + 1] for a, b in pairwise(cuts)]


def _time_part(poses: np.ndarray, limits: TipLimits) -> np.ndarray:
    """Return the samples of one part, without its first pose."""
    place = np.concatenate([[0.0], np.cumsum(_lengths(poses))])
    total = place[-1]
    ramp = limits.acceleration_m_s2
    top = min(limits.speed_m_s, np.sqrt(total * ramp))
    duration = total / top + top / ramp
    count = max(1, int(np.ceil(duration / limits.period_s)))
    t = np.arange(1, count + 1) * duration / count
    rising, falling = np.minimum(t, top / ramp), np.minimum(duration - t, top / ramp)
    steady = np.clip(t - top / ramp, 0, duration - 2 * top / ramp)
    way = ramp / 2 * rising**2 + top * steady + (top**2 - (ramp * falling) ** 2) / (2 * ramp)
    way = np.clip(way, 0, total)
    result = np.tile(np.eye(4), (count, 1, 1))
    result[:, :3, 3] = np.stack([np.interp(way, place, poses[:, k, 3]) for k in range(3)], axis=1)
    result[:, :3, :3] = Slerp(place, Rotation.from_matrix(poses[:, :3, :3]))(way).as_matrix()
    result[-1] = poses[-1]
    return result
