# SPDX-License-Identifier: Apache-2.0
"""What a camera straight above a flat table with one red block sees: a picture without a renderer.

For a robot without physics: enough for the whole stack to run, not enough to do a task.
"""

from __future__ import annotations

import numpy as np

from mu0_core.types import CameraIntrinsics

CAMERA_FRAME = "camera_color_optical_frame"
INTRINSICS = CameraIntrinsics(160, 120, 130.0, 130.0, 79.5, 59.5)
T_BASE_CAMERA = np.array(  # looks straight down from 1 m above the middle of the table
    [[0.0, -1.0, 0.0, 0.5], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 1.0], [0.0, 0.0, 0.0, 1.0]]
)


def flat_table() -> tuple[np.ndarray, np.ndarray]:
    """Return rgb (h, w, 3) uint8 and depth in metres (h, w) float32."""
    shape = INTRINSICS.height, INTRINSICS.width
    rgb, depth = np.full((*shape, 3), 90, np.uint8), np.full(shape, 1.0, np.float32)
    rgb[50:70, 70:90] = (200, 30, 30)
    depth[50:70, 70:90] = 0.95
    return rgb, depth
