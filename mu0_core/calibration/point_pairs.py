# SPDX-License-Identifier: Apache-2.0
"""Where the camera is mounted, from points known both in the camera and on the robot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.errors import DataError
from mu0_core.geometry import se3

FEWEST = 4
_FACTOR, _FLOOR_M = 3.0, 0.003  # a pair is left out beyond, against the median
_WORST_M = 0.02  # median of pairs that belong together
_FLAT_M = 0.01  # the points must spread so far in a second direction


@dataclass(frozen=True, slots=True)
class PairFit:
    """The result.

    Attributes:
        T_mount_camera: (4, 4).
        residual_m: (N,) of every pair.
        used: (N,) bool.
        spread_mm: standard error of the position of the points' middle, from leaving one pair out.
        spread_deg: the same of the rotation.
    """

    T_mount_camera: np.ndarray
    residual_m: np.ndarray
    used: np.ndarray
    spread_mm: float
    spread_deg: float


def fit_pairs(camera_m: np.ndarray, mount_m: np.ndarray) -> PairFit:
    """Return the pose that takes points (N, 3) in the camera to (N, 3) in the mount's frame.

    Raises:
        DataError: too few pairs, also after those that do not fit; or all on a line.
    """
    count = len(camera_m)
    if count < FEWEST:
        raise DataError(f"{count} pairs of points, at least {FEWEST} are needed")
    used = np.ones(count, bool)
    T, residual = np.eye(4), np.zeros(count)
    for _ in range(count):
        _check_spread(camera_m[used])
        T = _rigid(camera_m[used], mount_m[used])
        residual = np.linalg.norm(se3.apply(T, camera_m) - mount_m, axis=1)
        limit = max(_FLOOR_M, _FACTOR * float(np.median(residual[used])))
        worst = int(np.argmax(np.where(used, residual, -1)))
        if residual[worst] <= limit:
            break
        used[worst] = False  # one at a time: a bad pair spoils the residuals of the good ones
        if used.sum() < FEWEST:
            raise DataError(
                f"fewer than {FEWEST} of {count} pairs agree: residuals "
                f"{', '.join(f'{r * 1e3:.1f}' for r in residual)} mm"
            )
    if (middle := float(np.median(residual[used]))) > _WORST_M:
        raise DataError(
            f"the pairs do not agree: median residual {middle * 1e3:.1f} mm, allowed "
            f"{_WORST_M * 1e3:g}: are columns, units (m) and order right?"
        )
    mm, deg = _jackknife(camera_m[used], mount_m[used], T)
    return PairFit(T, residual, used, mm, deg)


def _rigid(camera_m: np.ndarray, mount_m: np.ndarray) -> np.ndarray:
    a, b = camera_m.mean(0), mount_m.mean(0)
    rotation, _ = Rotation.align_vectors(mount_m - b, camera_m - a)
    T = np.eye(4)
    T[:3, :3] = rotation.as_matrix()
    T[:3, 3] = b - T[:3, :3] @ a
    return T


def _check_spread(points_m: np.ndarray) -> None:
    size = np.linalg.svd(points_m - points_m.mean(0), compute_uv=False) / np.sqrt(len(points_m))
    if size[1] < _FLAT_M:
        raise DataError(
            f"the points lie on a line within {size[1] * 1e3:.1f} mm (rms), allowed above "
            f"{_FLAT_M * 1e3:g}: spread them in two directions and more"
        )


def _jackknife(camera_m: np.ndarray, mount_m: np.ndarray, T: np.ndarray) -> tuple[float, float]:
    count, middle = len(camera_m), camera_m.mean(0)
    shifts, turns = [], []
    for k in range(count):
        rest = np.delete(np.arange(count), k)
        without = se3.inverse(T) @ _rigid(camera_m[rest], mount_m[rest])
        shifts.append((se3.apply(without, middle) - middle) * 1e3)
        turns.append(Rotation.from_matrix(without[:3, :3]).as_rotvec(degrees=True))
    mm, deg = (float(np.sqrt((count - 1) * np.var(x, axis=0).sum())) for x in (shifts, turns))
    return mm, deg
