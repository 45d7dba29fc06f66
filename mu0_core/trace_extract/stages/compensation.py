# SPDX-License-Identifier: Apache-2.0
"""Motion without the camera's (stage 4 of TraceExtract): which points moved by themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.geometry import camera, se3
from mu0_core.trace_extract.records import Geometry, Tracks

_WIDTH_PX = 640  # of the image that pixel thresholds are stated for


@dataclass(frozen=True, slots=True)
class MovingSettings:
    """When a point counts as moving.

    Attributes:
        min_displacement_px: largest distance between any two of its places, at 640 px of width
            (paper: 40).
        window_frames: frames from the present one on that are looked at (paper: 64).
        depth_weight: of depth, expressed in pixels at the point's distance (paper: 0.1).
    """

    min_displacement_px: float = 40.0
    window_frames: int = 64
    depth_weight: float = 0.1

    def __post_init__(self) -> None:
        if self.min_displacement_px <= 0 or self.window_frames < 2 or self.depth_weight < 0:
            raise ConfigError(
                f"min_displacement_px {self.min_displacement_px} must be positive, window_frames "
                f"{self.window_frames} at least 2, depth_weight {self.depth_weight} not negative"
            )


def seen_from(world_m: np.ndarray, T_world_camera: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return u px, v px, z m (..., 3) of points in the world for a camera at one pose.

    Pixels have integer centres; NaN stays NaN, and so does what lies behind the camera.
    """
    return camera.project(se3.apply(se3.inverse(T_world_camera), world_m), geometry.intrinsics)


def displacement_px(
    tracks: Tracks, geometry: Geometry, frame: int, settings: MovingSettings
) -> np.ndarray:
    """Return (P,) the largest distance between two places of each point from ``frame`` on.

    Places are what the first camera would have seen, at 640 px of width; 0 for points seen once.
    """
    window = slice(frame, frame + settings.window_frames)
    uvz = seen_from(tracks.world_m[:, window], geometry.T_world_camera[0], geometry)
    scale = _WIDTH_PX / geometry.intrinsics.width
    with np.errstate(invalid="ignore"):
        log_z = np.log(uvz[..., 2])
    depth_px = settings.depth_weight * geometry.intrinsics.fx * log_z  # d(f ln z) = f dz / z
    places = np.concatenate([uvz[..., :2], depth_px[..., None]], axis=-1) * scale
    largest = np.zeros(len(places))
    for shift in range(1, places.shape[1]):
        apart = np.linalg.norm(places[:, shift:] - places[:, :-shift], axis=-1)
        largest = np.fmax(largest, np.fmax.reduce(apart, axis=1))
    return largest
