# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image and CompressedImage of a bag as arrays, without ROS.

The messages are anything with the fields of the ROS types. Rasters are read as live ones are
(`observation.image_raster`); here is what is packed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import cv2
import numpy as np

from mu0_core.errors import ObservationError, SourceError
from mu0_core.observation.image_raster import (
    DEPTH_ENCODINGS,
    MILLIMETRE_M,
    RasterImage,
    depth_m_from_image,
    rgb_from_image,
)
from mu0_core.trace_extract.sources.image_file import metres

_DEPTH_HEADER_BYTES = 12  # compressed_depth_image_transport: one enum, two float32


class CompressedImage(Protocol):
    """The fields of sensor_msgs/CompressedImage that are used."""

    format: str
    data: np.ndarray


def is_depth(message: RasterImage | CompressedImage) -> bool:
    """Say whether the message states to hold depth."""
    if hasattr(message, "encoding"):
        return message.encoding in DEPTH_ENCODINGS
    stated = message.format
    return "compressedDepth" in stated or stated.split(";")[0].strip() in DEPTH_ENCODINGS


def rgb_of(message: RasterImage | CompressedImage) -> np.ndarray:
    """Return (h, w, 3) uint8 RGB.

    Raises:
        SourceError: unknown encoding, size and data disagree, or the data is no image.
    """
    if not hasattr(message, "encoding"):
        return cv2.cvtColor(_unpack(message, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    with _as_source_error():
        return rgb_from_image(message)


def depth_m_of(message: RasterImage | CompressedImage) -> np.ndarray:
    """Return (h, w) float32 metres, NaN where unknown.

    Raises:
        SourceError: unknown encoding, size and data disagree, or the data is no image.
    """
    if not hasattr(message, "encoding"):
        return _compressed_depth(message)
    with _as_source_error():
        return depth_m_from_image(message)


@contextmanager
def _as_source_error() -> Iterator[None]:
    """Turn the refusal of a raster into that of its bag."""
    try:
        yield
    except ObservationError as error:
        raise SourceError(str(error)) from error


def _unpack(message: CompressedImage, mode: int, skip: int = 0) -> np.ndarray:
    data = np.frombuffer(message.data, np.uint8)[skip:]
    try:
        image = cv2.imdecode(data, mode) if len(data) else None
    except cv2.error:
        image = None
    if image is None:
        raise SourceError(
            f"compressed image of format {message.format!r} with {len(message.data)} bytes cannot "
            "be decoded, allowed: jpeg, png, compressedDepth with png"
        )
    return image


def _compressed_depth(message: CompressedImage) -> np.ndarray:
    """Return metres; 32FC1 is stored as 16-bit inverse depth with its two constants in front."""
    with_header = "compressedDepth" in message.format
    raw = _unpack(message, cv2.IMREAD_UNCHANGED, _DEPTH_HEADER_BYTES if with_header else 0)
    if raw.ndim != 2 or raw.dtype != np.uint16:
        raise SourceError(
            f"compressed depth of format {message.format!r} holds {raw.shape} {raw.dtype}, "
            "expected one channel of 16 bits"
        )
    if not message.format.strip().startswith("32FC1"):
        return metres(raw, MILLIMETRE_M)
    if not with_header:
        raise SourceError(f"format {message.format!r}: 32FC1 is allowed as compressedDepth only")
    scale, offset = np.frombuffer(message.data, "<f4", count=2, offset=4)
    with np.errstate(divide="ignore"):
        depth = np.where(raw > 0, scale / (raw.astype(np.float32) - offset), np.nan)
    return metres(depth.astype(np.float32), 1.0)
