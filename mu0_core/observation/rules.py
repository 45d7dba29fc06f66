# SPDX-License-Identifier: Apache-2.0
"""What a camera must keep to, and what is done to its depth, in one place for nodes and doctor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.observation.registration import Registration, check_registration
from mu0_core.types import RgbdFrame

_TRIES = 5  # images without enough edges, after which the registration stays unknown


@dataclass(frozen=True, slots=True)
class CameraRules:
    """Settings.

    Attributes:
        plausible_depth_m: allowed median of a depth image.
        depth_scale, depth_offset_m: true depth = scale * sensor + offset (`mu0 calibrate
            depth-scale`).
        rectified: images are rectified, so that the projection matrix is theirs.
        check_registration: compare the edges of depth and colour.
    """

    plausible_depth_m: tuple[float, float] = (0.05, 10.0)
    depth_scale: float = 1.0
    depth_offset_m: float = 0.0
    rectified: bool = False
    check_registration: bool = True

    def __post_init__(self) -> None:
        if not (np.isfinite(self.depth_scale) and self.depth_scale > 0):
            raise ConfigError(f"depth_scale {self.depth_scale} must be positive and finite")
        if not np.isfinite(self.depth_offset_m):
            raise ConfigError(f"depth_offset_m {self.depth_offset_m} must be finite")

    def corrected(self, depth_m: np.ndarray) -> np.ndarray:
        """Return depth (h, w) float32 as it truly is; NaN where unknown or not in front."""
        if self.depth_scale == 1.0 and self.depth_offset_m == 0.0:
            return depth_m
        depth = depth_m * np.float32(self.depth_scale) + np.float32(self.depth_offset_m)
        depth[~(depth > 0)] = np.nan
        return depth


class RegistrationWatch:
    """Checks the registration of a camera once: when it begins, and when it becomes another one.

    A camera that failed is looked at again with every image.
    """

    def __init__(self) -> None:
        self._camera: object = None
        self._tries = 0
        self.found: Registration | None = None

    def check(self, frame: RgbdFrame) -> None:
        """Refuse a frame whose depth does not lie on its colour.

        Raises:
            ObservationError: see `check_registration`.
        """
        camera = (frame.intrinsics, frame.frame_id)
        if camera != self._camera:
            self._camera, self._tries, self.found = camera, 0, None
        if self._tries >= _TRIES or (self.found is not None and self.found.decided):
            return
        self.found = None
        self.found = check_registration(frame)
        self._tries += 1
