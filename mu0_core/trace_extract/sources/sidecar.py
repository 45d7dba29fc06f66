# SPDX-License-Identifier: Apache-2.0
"""Small files beside a recording that say what the recording itself does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mu0_core.errors import ObservationError, SourceError
from mu0_core.types import CameraIntrinsics

FOLDER_TEXTS = ("description.txt", "task.txt")
_KEYS = ("fx", "fy", "cx", "cy")
_OPTIONAL = ("width", "height", "depth_unit_m", "fps")


@dataclass(frozen=True, slots=True)
class CameraFile:
    """What a JSON file says about a camera.

    Attributes:
        path: the file.
        values: (fx, fy, cx, cy) px.
        size: (width, height) px that they hold for, or None = those of the frames.
        depth_unit_m: metres per unit of integer depth, or None.
        fps: frames per second of the recording, or None.
    """

    path: Path
    values: tuple[float, float, float, float]
    size: tuple[int, int] | None
    depth_unit_m: float | None
    fps: float | None

    def intrinsics(self, width: int, height: int) -> CameraIntrinsics:
        """Return them for frames of this size.

        Raises:
            SourceError: the file is about another size, or not a calibration.
        """
        if self.size is not None and self.size != (width, height):
            raise SourceError(
                f"{self.path}: is for {self.size[0]}x{self.size[1]} pixels, frames have "
                f"{width}x{height}"
            )
        try:
            return CameraIntrinsics(width, height, *self.values)
        except ObservationError as error:
            raise SourceError(f"{self.path}: {error}") from error


def read_camera(path: Path) -> CameraFile:
    """Return what a JSON file with fx, fy, cx, cy says.

    Raises:
        SourceError: not JSON, a key is missing, or a value is no usable number.
    """
    data = read_json(path)
    if not isinstance(data, dict):
        raise SourceError(f"{path}: holds {type(data).__name__}, expected an object with {_KEYS}")
    if missing := [key for key in _KEYS if key not in data]:
        raise SourceError(f"{path}: {', '.join(missing)} missing, needed: {', '.join(_KEYS)}")
    for key in (*_KEYS, *_OPTIONAL):
        value = data.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SourceError(f"{path}: {key} is {value!r}, expected a number")
        if key not in ("cx", "cy") and not 0 < value < float("inf"):
            raise SourceError(f"{path}: {key} is {value}, must be positive and finite")
    if ("width" in data) != ("height" in data):
        raise SourceError(f"{path}: give width and height, or neither")
    return CameraFile(
        path,
        tuple(float(data[key]) for key in _KEYS),
        (int(data["width"]), int(data["height"])) if "width" in data else None,
        data.get("depth_unit_m"),
        data.get("fps"),
    )


def read_json(path: Path) -> object:
    """Return what a JSON file holds.

    Raises:
        SourceError: it cannot be read or is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise SourceError(f"{path}: is no JSON ({error})") from error


def read_text(path: Path) -> str:
    """Return a text file as one string.

    Raises:
        SourceError: it cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: is no UTF-8 text") from error
