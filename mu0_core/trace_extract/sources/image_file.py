# SPDX-License-Identifier: Apache-2.0
"""Image files as arrays: colour as RGB, depth in metres with NaN where unknown."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mu0_core.errors import SourceError
from mu0_core.observation.image_raster import known_depth_m

RGB_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
DEPTH_SUFFIXES = (".png", ".pgm", ".tif", ".tiff", ".npy")


def read_rgb(path: Path) -> np.ndarray:
    """Return (h, w, 3) uint8 RGB, turned upright where the file says so (EXIF).

    Raises:
        SourceError: not an image.
    """
    return cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_depth(path: Path, depth_unit_m: float) -> np.ndarray:
    """Return (h, w) float32 metres; zero, negative and not finite values are NaN.

    Args:
        path: 16-bit integers in units of ``depth_unit_m``, or floats in metres.
        depth_unit_m: metres per unit.

    Raises:
        SourceError: not an image, more than one channel, or another type of number.
    """
    if path.suffix.lower() == ".npy":
        try:
            raw = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise SourceError(f"{path}: is no .npy array ({error})") from error
    else:
        raw = _decode(path, cv2.IMREAD_UNCHANGED)
    if raw.ndim != 2 or 0 in raw.shape:
        raise SourceError(f"{path}: depth has shape {raw.shape}, expected (height, width)")
    try:
        return metres(raw, depth_unit_m)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error


def metres(raw: np.ndarray, depth_unit_m: float) -> np.ndarray:
    """Return depth (h, w) float32 metres, NaN where unknown, of 16-bit integers or floats.

    Raises:
        SourceError: another type of number.
    """
    if raw.dtype.kind == "u" and raw.dtype.itemsize == 2:
        return known_depth_m(raw, depth_unit_m)
    if raw.dtype.kind == "f":
        return known_depth_m(raw, 1.0)
    raise SourceError(f"depth is {raw.dtype}, allowed: 16-bit unsigned or float (metres)")


def _decode(path: Path, mode: int) -> np.ndarray:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        image = cv2.imdecode(data, mode) if len(data) else None
    except cv2.error:
        image = None
    if image is None:
        what = "is empty (0 bytes)" if not len(data) else "is no image that OpenCV can decode"
        raise SourceError(f"{path}: {what}; allowed: {', '.join(RGB_SUFFIXES)}")
    return image
