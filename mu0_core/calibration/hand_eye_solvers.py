# SPDX-License-Identifier: Apache-2.0
"""First guesses of ``A_i X C_i = Y``: closed forms, which OpenCV 5 no longer offers to Python.

``A_i`` are poses of the robot, ``C_i`` of the board in the camera; between two views
``(A_j^-1 A_i) X = X (C_j C_i^-1)``. Three ways that fail differently: rotation first by
logarithms (Park and Martin 1994), rotation by linear equations (Andreff et al. 1999), and both at
once by dual quaternions (Daniilidis 1999). None weighs noise: `hand_eye` refines the best of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.geometry import se3

Solver = Callable[[np.ndarray, np.ndarray], np.ndarray]


def motions(A: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the motions (P, 4, 4) of robot and camera between all pairs of V views."""
    i, j = np.triu_indices(len(A), 1)
    return se3.inverse(A[j]) @ A[i], C[j] @ se3.inverse(C[i])


def by_logarithms(of_robot: np.ndarray, of_camera: np.ndarray) -> np.ndarray:
    """Return X (4, 4): its rotation turns the rotation vectors of one side into the other's."""
    a = Rotation.from_matrix(of_robot[:, :3, :3]).as_rotvec()
    b = Rotation.from_matrix(of_camera[:, :3, :3]).as_rotvec()
    rotation, _ = Rotation.align_vectors(a, b)
    return _with_translation(rotation.as_matrix(), of_robot, of_camera)


def by_linear_equations(of_robot: np.ndarray, of_camera: np.ndarray) -> np.ndarray:
    """Return X (4, 4): the nearest rotation to the null vector of ``R_a R_x - R_x R_b``."""
    eye = np.eye(3)
    rows = [
        np.kron(a[:3, :3], eye) - np.kron(eye, b[:3, :3].T) for a, b in zip(of_robot, of_camera)
    ]
    matrix = np.linalg.svd(np.concatenate(rows))[2][-1].reshape(3, 3)
    return _with_translation(_nearest_rotation(matrix), of_robot, of_camera)


def by_dual_quaternions(of_robot: np.ndarray, of_camera: np.ndarray) -> np.ndarray:
    """Return X (4, 4): rotation and translation from one singular value decomposition."""
    rows = []
    for a, b in zip(of_robot, of_camera):
        (qa, da), (qb, db) = _dual(a), _dual(b)
        real = np.hstack([(qa - qb)[:, None], _cross(qa + qb)])
        dual = np.hstack([(da - db)[:, None], _cross(da + db)])
        rows += [np.hstack([real, np.zeros((3, 4))]), np.hstack([dual, real])]
    u, v = np.linalg.svd(np.concatenate(rows))[2][-2:]
    a, b, c = u[:4] @ u[4:], u[:4] @ v[4:] + u[4:] @ v[:4], v[:4] @ v[4:]
    best = None
    for s in np.roots([a, b, c]) if abs(a) > 1e-15 else [0.0]:
        s = float(np.real(s))
        norm = s * s * (u[:4] @ u[:4]) + 2 * s * (u[:4] @ v[:4]) + v[:4] @ v[:4]
        if norm > 1e-12 and (best is None or norm > best[0]):
            best = (norm, s)
    if best is None:
        return np.full((4, 4), np.nan)
    q = (best[1] * u + v) / np.sqrt(best[0])
    rotation = Rotation.from_quat([*q[1:4], q[0]]).as_matrix()
    X = np.eye(4)
    X[:3, :3] = rotation
    X[:3, 3] = 2 * (q[0] * q[5:] - q[4] * q[1:4] + np.cross(q[1:4], q[5:]))
    return X


SOLVERS: dict[str, Solver] = {
    "logarithms": by_logarithms,
    "linear equations": by_linear_equations,
    "dual quaternions": by_dual_quaternions,
}


def _with_translation(rotation: np.ndarray, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return X with the translation that fits ``(R_a - 1) t = R_x t_b - t_a`` best."""
    left = (A[:, :3, :3] - np.eye(3)).reshape(-1, 3)
    right = (B[:, :3, 3] @ rotation.T - A[:, :3, 3]).reshape(-1)
    X = np.eye(4)
    X[:3, :3] = rotation
    X[:3, 3] = np.linalg.lstsq(left, right, rcond=None)[0]
    return X


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    u, _, vt = np.linalg.svd(matrix * np.sign(np.linalg.det(matrix)))
    return u @ vt


def _dual(T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the vector parts (3,) of the real and dual quaternion of T (4, 4)."""
    x, y, z, w = Rotation.from_matrix(T[:3, :3]).as_quat(canonical=True)
    q, t = np.array([x, y, z]), T[:3, 3]
    return q, 0.5 * (w * t + np.cross(t, q))


def _cross(v: np.ndarray) -> np.ndarray:
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
