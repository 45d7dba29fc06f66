# SPDX-License-Identifier: Apache-2.0
"""What a camera file says: intrinsics, and the distortion of the raw image.

Read are the YAML of ``camera_info_manager`` (as ``camera_calibration`` writes it), the YAML of
``ros2 topic echo --once .../camera_info``, and JSON or YAML with ``fx fy cx cy width height``.
Pixels have integer centres, as in sensor_msgs/CameraInfo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mu0_core.errors import DataError, ObservationError
from mu0_core.observation.camera_checks import CameraModel
from mu0_core.types import CameraIntrinsics

_MANAGER = {  # key of camera_info_manager -> key of the message
    "image_width": "width",
    "image_height": "height",
    "camera_matrix": "k",
    "distortion_coefficients": "d",
    "rectification_matrix": "r",
    "projection_matrix": "p",
}
_PLAIN = ("fx", "fy", "cx", "cy", "width", "height")


@dataclass(frozen=True, slots=True)
class Lens:
    """Intrinsics of the image without distortion, and how the given images differ from it.

    Attributes:
        intrinsics: pinhole.
        distortion: coefficients in OpenCV's order; empty = the images have none.
        fisheye: they are those of the ``equidistant`` model.
    """

    intrinsics: CameraIntrinsics
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    @property
    def matrix(self) -> np.ndarray:
        """The camera matrix (3, 3)."""
        c = self.intrinsics
        return np.array([[c.fx, 0.0, c.cx], [0.0, c.fy, c.cy], [0.0, 0.0, 1.0]])

    def straighten(self, uv_px: np.ndarray) -> np.ndarray:
        """Return pixels (N, 2) of the given image as an image without distortion has them."""
        if not any(self.distortion):
            return np.asarray(uv_px, dtype=float)
        import cv2

        points = np.asarray(uv_px, dtype=float).reshape(-1, 1, 2)
        undo = cv2.fisheye.undistortPoints if self.fisheye else cv2.undistortPoints
        return undo(points, self.matrix, np.array(self.distortion), P=self.matrix).reshape(-1, 2)

    def straighten_picture(self, rgb: np.ndarray) -> np.ndarray:
        """Return the picture (h, w, 3) without distortion."""
        if not any(self.distortion):
            return rgb
        import cv2

        if self.fisheye:
            return cv2.fisheye.undistortImage(
                rgb, self.matrix, np.array(self.distortion), Knew=self.matrix
            )
        return cv2.undistort(rgb, self.matrix, np.array(self.distortion))


def read_lens(path: Path, rectified: bool = False) -> Lens:
    """Return what a camera file says.

    Args:
        path: YAML or JSON.
        rectified: the images are rectified, so that the projection matrix is theirs.

    Raises:
        DataError: not readable, a key is missing, or it is no usable calibration.
    """
    values = _load(path)
    if "fx" in values:
        try:
            model = CameraModel.plain(*(float(values[k]) for k in _PLAIN[:4]), *_size(values))
        except KeyError as error:
            raise DataError(f"{path}: {error} missing; needed: {', '.join(_PLAIN)}") from error
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: {error}") from error
        rectified = False  # these say nothing about distortion: the images are rectified
    else:
        model = _camera_model(values, path)
    try:
        if rectified:
            return Lens(model.rectified())
        intrinsics = model.raw()
        model.check_known()
    except ObservationError as error:
        raise DataError(f"{path}: {error}") from error
    return Lens(intrinsics, tuple(model.d), model.model == "equidistant")


def _load(path: Path) -> Mapping[str, Any]:
    try:
        values = next(iter(yaml.safe_load_all(path.read_text(encoding="utf-8"))), None)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: holds {type(values).__name__}, expected a camera's keys")
    return values


def _size(values: Mapping[str, Any]) -> tuple[int, int]:
    return int(values["width"]), int(values["height"])


def _camera_model(values: Mapping[str, Any], path: Path) -> CameraModel:
    """Read the keys of a CameraInfo, in the words of the message or of camera_info_manager."""
    named = {_MANAGER.get(key, key): value for key, value in values.items()}
    if missing := [key for key in ("width", "height", "k") if key not in named]:
        raise DataError(
            f"{path}: {', '.join(missing)} missing; needed is a CameraInfo (image_width, "
            f"image_height, camera_matrix, …) or {', '.join(_PLAIN)}"
        )
    numbers = {}
    for key, count in (("k", 9), ("p", 12), ("d", None)):
        data = named.get(key)
        data = data.get("data") if isinstance(data, dict) else data
        try:
            numbers[key] = tuple(float(x) for x in data or ())
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: {key} is {data!r}, expected numbers") from error
        if count and numbers[key] and len(numbers[key]) != count:
            raise DataError(f"{path}: {key} has {len(numbers[key])} numbers, expected {count}")
    kind = str(named.get("distortion_model", ""))
    return CameraModel(*_size(named), numbers["k"], numbers["d"], kind, numbers["p"])
