# SPDX-License-Identifier: Apache-2.0
"""Batched steps from the model's (u, v, z) to metres, each row with a camera of its own.

`geometry.camera` does the same for one camera; slots come from thousands of episodes.
"""

from __future__ import annotations

import numpy as np


def to_optical(uvz: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Return points (B, ..., 3) in metres in the optical frame of u, v in [-1, 1], z in metres.

    Args:
        uvz: (B, ..., 3).
        intrinsics: (B, 6) width, height, fx, fy, cx, cy in pixels.
    """
    rows = intrinsics.reshape(len(intrinsics), 6, *[1] * (uvz.ndim - 2))
    width, height, fx, fy, cx, cy = (rows[:, k] for k in range(6))
    z = uvz[..., 2]
    x = ((uvz[..., 0] + 1) / 2 * width - 0.5 - cx) / fx * z
    y = ((uvz[..., 1] + 1) / 2 * height - 0.5 - cy) / fy * z
    return np.stack([x, y, z], axis=-1)


def to_base(uvz: np.ndarray, intrinsics: np.ndarray, T_base_camera: np.ndarray) -> np.ndarray:
    """Return points (B, ..., 3) in the base frame; T_base_camera is (B, 4, 4)."""
    flat = to_optical(uvz, intrinsics).reshape(len(uvz), -1, 3)
    moved = np.einsum("bij,bkj->bki", T_base_camera[:, :3, :3], flat)
    return (moved + T_base_camera[:, None, :3, 3]).reshape(uvz.shape)
