# SPDX-License-Identifier: Apache-2.0
"""Notices that a camera which is to stand still was pushed: its pose on ``camera_pose`` jumps.

Where the pose comes from tf2 there is nothing to notice: it is looked up at the image's stamp.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import TransformStamped

from mu0_core.errors import ObservationError
from mu0_ros.conversions.transform import matrix_from_transform

MOVED_M, MOVED_RAD = 0.005, 0.0087  # less is calibration that was refined


class CameraMount:
    """Compares every pose with the last one of the same frames.

    Args:
        on_moved: told once for each jump.
    """

    def __init__(self, on_moved: Callable[[ObservationError], None]) -> None:
        self._on_moved = on_moved
        self._poses: dict[tuple[str, str], np.ndarray] = {}

    def on_pose(self, message: TransformStamped) -> None:
        """Take a pose in."""
        key, T = (message.header.frame_id, message.child_frame_id), matrix_from_transform(message)
        old = self._poses.get(key)
        self._poses[key] = T
        if old is None:
            return
        far_m = float(np.linalg.norm(T[:3, 3] - old[:3, 3]))
        cosine = (np.trace(old[:3, :3].T @ T[:3, :3]) - 1) / 2
        turned_rad = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
        if far_m > MOVED_M or turned_rad > MOVED_RAD:
            self._on_moved(
                ObservationError(
                    f"camera {key[1]!r} was moved by {far_m:.3f} m and {turned_rad:.3f} rad in "
                    f"{key[0]!r}; what was seen before counts no more"
                )
            )
