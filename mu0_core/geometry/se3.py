# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as 4x4 matrices: ``T_a_b`` maps coordinates in frame b to frame a."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.errors import ShapeError


def from_quat_xyzw(translation_m: np.ndarray, quat_xyzw: np.ndarray) -> np.ndarray:
    """Return T (4, 4) of a translation (3,) in metres and a quaternion (4,) x, y, z, w.

    Raises:
        ShapeError: not finite, or the quaternion is not of unit length within 1e-3.
    """
    translation_m = np.asarray(translation_m, dtype=float)
    quat_xyzw = np.asarray(quat_xyzw, dtype=float)
    norm = float(np.linalg.norm(quat_xyzw))
    if not np.all(np.isfinite(translation_m)) or not abs(norm - 1.0) < 1e-3:
        raise ShapeError(
            f"not a rigid transform: translation {translation_m}, quaternion {quat_xyzw} "
            f"of length {norm} (allowed 1 +- 0.001)"
        )
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_quat(quat_xyzw).as_matrix()
    transform[:3, 3] = translation_m
    return transform


def to_quat_xyzw(transform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return translation (3,) in metres and quaternion (4,) x, y, z, w of T (4, 4)."""
    return transform[:3, 3].copy(), Rotation.from_matrix(transform[:3, :3]).as_quat()


def from_rpy(translation_m: np.ndarray, rpy_rad: np.ndarray) -> np.ndarray:
    """Return T (4, 4) of a URDF origin: fixed-axis roll, pitch, yaw in radians."""
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_euler("xyz", rpy_rad).as_matrix()
    transform[:3, 3] = translation_m
    return transform


def inverse(transform: np.ndarray) -> np.ndarray:
    """Return the inverse of rigid transforms (..., 4, 4)."""
    rotation = np.swapaxes(transform[..., :3, :3], -1, -2)
    result = np.zeros_like(transform)
    result[..., :3, :3] = rotation
    result[..., :3, 3] = -np.einsum("...ij,...j->...i", rotation, transform[..., :3, 3])
    result[..., 3, 3] = 1.0
    return result


def apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (..., 3) through one transform (4, 4): p_a = T_a_b p_b."""
    return points @ transform[:3, :3].T + transform[:3, 3]
