# SPDX-License-Identifier: Apache-2.0
"""What a perfect forecast would say of simulated tracks: the true future at equal path length."""

from __future__ import annotations

import numpy as np

from mu0_core.geometry import camera
from mu0_core.training.retarget import RetargetSettings, retarget
from mu0_core.types import CameraIntrinsics

HORIZON = 32


def true_future(tracks_m: np.ndarray, intrinsics: CameraIntrinsics) -> tuple[np.ndarray, int]:
    """Return what a perfect forecast would say of tracks that begin now.

    Args:
        tracks_m: (K, N, 3) in the optical frame, over time.
        intrinsics: of the camera.

    Returns:
        (N, 33, 3) u, v in [-1, 1] and z in metres at phase steps 0..32, and how many of the steps
        belong to the motion (the last position repeats behind it).
    """
    size = (intrinsics.width, intrinsics.height)
    projected = camera.project(tracks_m, intrinsics)
    share = (camera.pixels_to_uv(projected[..., :2], *size) + 1) / 2  # x / width, y / height
    retargeted = retarget(
        np.concatenate([share, projected[..., 2:]], axis=-1), RetargetSettings(steps=HORIZON)
    )
    path = retargeted.points.transpose(1, 0, 2).copy()
    path[..., :2] = path[..., :2] * 2 - 1
    return path, retargeted.num_steps
