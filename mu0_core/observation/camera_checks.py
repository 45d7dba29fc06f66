# SPDX-License-Identifier: Apache-2.0
"""Whether a sensor_msgs/CameraInfo can be that of its images. numpy only.

A message cannot say whether the images beside it are rectified: a driver and ``image_proc`` send
the same numbers. The one who subscribes must know, and a distortion that matters is refused until
he says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ObservationError
from mu0_core.types import CameraIntrinsics

MODELS = ("plumb_bob", "rational_polynomial", "equidistant")  # sensor_msgs/distortion_models.hpp
MAX_DISTORTION_PX = 2.0  # at 640 columns; scales with the width
_FIELD_OF_VIEW_DEG = (5.0, 170.0)
_ASPECT = (0.5, 2.0)  # fx / fy
_CENTRE = (0.8, 1.25)  # principal point against the middle, the same on both axes
_SAME = 0.1


@dataclass(frozen=True, slots=True)
class CameraModel:
    """The numbers of a CameraInfo.

    Attributes:
        width, height: px.
        k: (9,) of the raw image, by rows; all zero = not calibrated.
        d: distortion coefficients.
        model: distortion model.
        p: (12,) of the rectified image, by rows; empty or zero = none.
        binning: (x, y); 0 means 1.
    """

    width: int
    height: int
    k: tuple[float, ...]
    d: tuple[float, ...] = ()
    model: str = ""
    p: tuple[float, ...] = ()
    binning: tuple[int, int] = (1, 1)

    @classmethod
    def plain(
        cls, fx: float, fy: float, cx: float, cy: float, width: int, height: int
    ) -> CameraModel:
        """Return a camera without distortion."""
        return cls(width, height, (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0))

    def raw(self) -> CameraIntrinsics:
        """Return the intrinsics of the raw image; raises `ObservationError` (see `checked`)."""
        if len(self.k) != 9:
            raise ObservationError(f"camera_info k has {len(self.k)} numbers, expected 9")
        k = self.k
        return CameraIntrinsics(self.width, self.height, k[0], k[4], k[2], k[5])

    def rectified(self) -> CameraIntrinsics:
        """Return the intrinsics of the rectified image.

        Raises:
            ObservationError: there is no projection matrix, or it is none of a camera.
        """
        p = self.p
        if len(p) != 12 or not any(p):
            raise ObservationError(
                "camera is not calibrated for rectified images: camera_info p is empty or zero"
            )
        return CameraIntrinsics(self.width, self.height, p[0], p[5], p[2], p[6])

    def check_known(self) -> None:
        """Refuse a distortion that nobody can undo.

        Raises:
            ObservationError: coefficients without a known model, or not finite.
        """
        if not np.all(np.isfinite(self.d)):
            raise ObservationError(f"camera_info d is not finite: {list(self.d)}")
        if any(self.d) and self.model not in MODELS:
            raise ObservationError(
                f"camera_info has distortion of model {self.model!r}, allowed: {', '.join(MODELS)}"
            )

    def distortion_px(self) -> float:
        """Return how far the distortion moves a pixel at most, over a 9 x 9 grid of the image.

        Raises:
            ObservationError: see `raw` and `check_known`.
        """
        camera = self.raw()
        self.check_known()
        if not any(self.d):
            return 0.0
        u, v = np.meshgrid(np.linspace(0, self.width - 1, 9), np.linspace(0, self.height - 1, 9))
        x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
        dx, dy = (_fisheye if self.model == "equidistant" else _polynomial)(x, y, self.d)
        return float(np.hypot((dx - x) * camera.fx, (dy - y) * camera.fy).max())


def checked(model: CameraModel, rectified: bool = False) -> CameraIntrinsics:
    """Return the intrinsics of the images, if they can be theirs.

    Args:
        model: what the message says.
        rectified: the images are rectified: ``p`` holds for them, and ``d`` is undone already.

    Raises:
        ObservationError: not calibrated; principal point outside the image; a field of view or
            aspect that no camera has; ``k`` of another resolution; binned; distorted by more than
            `MAX_DISTORTION_PX` and not rectified.
    """
    camera = model.rectified() if rectified else model.raw()
    if max(model.binning) > 1:
        raise ObservationError(
            f"camera_info has binning {model.binning[0]}x{model.binning[1]}: its k is of the full "
            "resolution; allowed is 1x1"
        )
    check_intrinsics(camera)
    if not rectified:
        allowed, moved = MAX_DISTORTION_PX * camera.width / 640, model.distortion_px()
        if moved > allowed:
            raise ObservationError(
                f"camera_info has distortion {model.model} that moves pixels by up to "
                f"{moved:.1f} px (allowed {allowed:.1f}): subscribe to the rectified image and "
                "set rectified: true"
            )
    return camera


def check_intrinsics(camera: CameraIntrinsics) -> None:
    """Refuse intrinsics that cannot belong to an image of their size.

    Raises:
        ObservationError: names the number and what is allowed.
    """
    w, h = camera.width, camera.height
    if not (-0.5 <= camera.cx <= w - 0.5 and -0.5 <= camera.cy <= h - 0.5):
        raise ObservationError(
            f"principal point ({camera.cx:g}, {camera.cy:g}) lies outside the image of {w}x{h} "
            "pixels: is the calibration of another resolution?"
        )
    if not _ASPECT[0] <= camera.fx / camera.fy <= _ASPECT[1]:
        raise ObservationError(
            f"fx {camera.fx:g} / fy {camera.fy:g} is {camera.fx / camera.fy:.2f}, allowed "
            f"{_ASPECT[0]} to {_ASPECT[1]}"
        )
    for name, focal, size in (("fx", camera.fx, w), ("fy", camera.fy, h)):
        angle = 2 * np.degrees(np.arctan(size / 2 / focal))
        if not _FIELD_OF_VIEW_DEG[0] <= angle <= _FIELD_OF_VIEW_DEG[1]:
            raise ObservationError(
                f"{name} {focal:g} px with {size} pixels is a field of view of {angle:.1f} deg, "
                f"allowed {_FIELD_OF_VIEW_DEG[0]:g} to {_FIELD_OF_VIEW_DEG[1]:g}"
            )
    x, y = (camera.cx + 0.5) / (w / 2), (camera.cy + 0.5) / (h / 2)
    if abs(x - y) < _SAME * max(x, y) and not _CENTRE[0] <= (x + y) / 2 <= _CENTRE[1]:
        raise ObservationError(
            f"principal point ({camera.cx:g}, {camera.cy:g}) is the middle of an image of "
            f"{2 * camera.cx + 1:.0f}x{2 * camera.cy + 1:.0f} pixels, this one has {w}x{h}: the "
            "calibration is of another resolution"
        )


def _polynomial(
    x: np.ndarray, y: np.ndarray, d: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Distort normalised coordinates: Brown's model with OpenCV's k1 k2 p1 p2 k3 k4 k5 k6."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*d, *[0.0] * 8)[:8]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def _fisheye(x: np.ndarray, y: np.ndarray, d: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Distort normalised coordinates: Kannala and Brandt's equidistant model."""
    k1, k2, k3, k4 = (*d, *[0.0] * 4)[:4]
    r = np.hypot(x, y)
    t = np.arctan(r)
    t2 = t * t
    ratio = np.where(
        r > 1e-9, t * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))) / np.maximum(r, 1e-9), 1.0
    )
    return x * ratio, y * ratio
