# SPDX-License-Identifier: Apache-2.0
"""Pinhole projection in the optical frame (REP 103: x right, y down, z forward).

Two pixel forms are used and converted only here: ROS pixels (integers at pixel centres) and the
model's normalised ``uv`` of the μ0 paper, which spans [-1, 1] over the whole image from edge to
edge, so that ``u = (column + 0.5) / width * 2 - 1``.
"""

from __future__ import annotations

import numpy as np

from mu0_core.types import CameraIntrinsics


def project(points_m: np.ndarray, camera: CameraIntrinsics) -> np.ndarray:
    """Return (..., 3): u px, v px, z m of points (..., 3) in the optical frame."""
    z = points_m[..., 2]
    safe = np.where(z > 0, z, np.nan)
    u = points_m[..., 0] / safe * camera.fx + camera.cx
    v = points_m[..., 1] / safe * camera.fy + camera.cy
    return np.stack([u, v, z], axis=-1)


def unproject(uvz: np.ndarray, camera: CameraIntrinsics) -> np.ndarray:
    """Return points (..., 3) in metres in the optical frame of (..., 3) u px, v px, z m."""
    z = uvz[..., 2]
    x = (uvz[..., 0] - camera.cx) / camera.fx * z
    y = (uvz[..., 1] - camera.cy) / camera.fy * z
    return np.stack([x, y, z], axis=-1)


def pixels_to_uv(uv_px: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return normalised uv (..., 2) in [-1, 1] of pixels (..., 2) with integer centres."""
    return (np.asarray(uv_px, dtype=float) + 0.5) / np.array([width, height]) * 2.0 - 1.0


def uv_to_pixels(uv: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return pixels (..., 2) with integer centres of normalised uv (..., 2)."""
    return (np.asarray(uv, dtype=float) + 1.0) / 2.0 * np.array([width, height]) - 0.5


def uvz_to_metres(traces_uvz: np.ndarray, camera: CameraIntrinsics) -> np.ndarray:
    """Return points (..., 3) in the optical frame of (..., 3) u, v in [-1, 1] and z in metres."""
    pixels = uv_to_pixels(traces_uvz[..., :2], camera.width, camera.height)
    return unproject(np.concatenate([pixels, traces_uvz[..., 2:]], axis=-1), camera)
