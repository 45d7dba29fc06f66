# SPDX-License-Identifier: Apache-2.0
"""What nodes that look through the camera have to know of it."""

from __future__ import annotations

from dataclasses import dataclass

from mu0_ros.params import parameter


@dataclass(frozen=True)
class CameraParameters:
    """Parameters that every node with a `CameraStream` has."""

    depth_scale: float = parameter(
        1.0, "true depth = depth_scale * sensor + depth_offset_m", low=1e-4, high=1e4
    )
    depth_offset_m: float = parameter(
        0.0, "see depth_scale; mu0 calibrate depth-scale finds both", unit="m", low=-1.0, high=1.0
    )
    rectified: bool = parameter(
        False, "images are rectified although camera_info has distortion: use its p, not its k"
    )
