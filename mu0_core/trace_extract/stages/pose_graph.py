# SPDX-License-Identifier: Apache-2.0
"""Poses of a few views that agree best with measured motions between pairs of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.sparse import lil_matrix
from scipy.spatial.transform import Rotation

from mu0_core.errors import DataError
from mu0_core.geometry import se3

_METRES, _RADIANS = 0.002, 0.002  # sigma of a measured motion


@dataclass(frozen=True, slots=True)
class Motion:
    """A measured motion: T_first_second (4, 4), believed ``weight`` times as much as usual."""

    first: int
    second: int
    T_first_second: np.ndarray
    weight: float = 1.0


def solve_poses(count: int, motions: list[Motion]) -> np.ndarray:
    """Return T_world_view (count, 4, 4), the first one identity; wrong motions are outvoted.

    Raises:
        DataError: the motions do not connect all views.
    """
    poses = _spanning_poses(count, motions)
    if count < 2:
        return poses
    start = np.concatenate(
        [poses[1:, :3, 3], Rotation.from_matrix(poses[1:, :3, :3]).as_rotvec()], axis=1
    )
    first, second = (np.array([getattr(m, k) for m in motions]) for k in ("first", "second"))
    measured = np.stack([m.T_first_second for m in motions])
    weights = np.sqrt([m.weight for m in motions])

    def residual(x: np.ndarray) -> np.ndarray:
        found = _poses(x)
        between = se3.inverse(found[first]) @ found[second]
        error = se3.inverse(measured) @ between
        turn = Rotation.from_matrix(error[:, :3, :3]).as_rotvec()
        scaled = np.concatenate([error[:, :3, 3] / _METRES, turn / _RADIANS], axis=1)
        return (scaled * weights[:, None]).ravel()

    solution = least_squares(
        residual,
        start.ravel(),
        jac_sparsity=_sparsity(count, first, second),
        loss="soft_l1",
        x_scale="jac",
        max_nfev=50,
    )
    return _poses(solution.x)


def _poses(x: np.ndarray) -> np.ndarray:
    values = x.reshape(-1, 6)
    poses = np.tile(np.eye(4), (len(values) + 1, 1, 1))
    poses[1:, :3, 3] = values[:, :3]
    poses[1:, :3, :3] = Rotation.from_rotvec(values[:, 3:]).as_matrix()
    return poses


def _spanning_poses(count: int, motions: list[Motion]) -> np.ndarray:
    """Return poses chained from view 0 over the most believed motions."""
    poses: dict[int, np.ndarray] = {0: np.eye(4)}
    remaining = sorted(motions, key=lambda m: -m.weight)
    while len(poses) < count:
        for k, motion in enumerate(remaining):
            a, b = motion.first, motion.second
            if (a in poses) == (b in poses):
                continue
            if a in poses:
                poses[b] = poses[a] @ motion.T_first_second
            else:
                poses[a] = poses[b] @ se3.inverse(motion.T_first_second)
            del remaining[k]
            break
        else:
            lost = sorted(set(range(count)) - set(poses))
            raise DataError(f"no measured motion reaches the views {lost} of {count}")
    return np.stack([poses[k] for k in range(count)])


def _sparsity(count: int, first: np.ndarray, second: np.ndarray) -> lil_matrix:
    pattern = lil_matrix((6 * len(first), 6 * (count - 1)), dtype=int)
    for row, ends in enumerate(zip(first, second)):
        for view in ends:
            if view > 0:
                pattern[6 * row : 6 * row + 6, 6 * (view - 1) : 6 * view] = 1
    return pattern
