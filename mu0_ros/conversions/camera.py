# SPDX-License-Identifier: Apache-2.0
"""CameraInfo and intrinsics."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo

from mu0_core.observation.camera_checks import CameraModel
from mu0_core.types import CameraIntrinsics


def intrinsics_from_info(message: CameraInfo) -> CameraIntrinsics:
    """Return the intrinsics of a rectified image.

    Raises:
        ObservationError: uncalibrated (all zero) or not finite.
    """
    k = message.k
    return CameraIntrinsics(message.width, message.height, k[0], k[4], k[2], k[5])


def model_from_info(message: CameraInfo) -> CameraModel:
    """Return all that the message says about a camera; nothing is checked."""
    return CameraModel(
        message.width,
        message.height,
        tuple(map(float, message.k)),
        tuple(map(float, message.d)),
        message.distortion_model,
        tuple(map(float, message.p)),
        (message.binning_x, message.binning_y),
    )


def info_from_intrinsics(camera: CameraIntrinsics) -> CameraInfo:
    """Return a CameraInfo without distortion; the header is the caller's."""
    message = CameraInfo(width=camera.width, height=camera.height, distortion_model="plumb_bob")
    message.d = [0.0] * 5
    message.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [
        camera.fx,
        0.0,
        camera.cx,
        0.0,
        0.0,
        camera.fy,
        camera.cy,
        0.0,
        0.0,
        0.0,
        1.0,
        0.0,
    ]
    return message
