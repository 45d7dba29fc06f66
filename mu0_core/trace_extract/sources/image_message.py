# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image and CompressedImage as arrays, by encoding and without ROS.

The messages are anything with the fields of the ROS types. Depth follows REP 118: 32FC1 in metres
(NaN = unknown) or 16UC1 in millimetres (0 = unknown).
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from mu0_core.errors import SourceError
from mu0_core.trace_extract.sources.image_file import metres

# encoding -> channels, order of R, G, B in them
_ORDERS = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
}
_YUV = {
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
}
COLOR_ENCODINGS = (*_ORDERS, *_YUV)
DEPTH_ENCODINGS = ("16UC1", "32FC1")
_MILLIMETRE_M = 0.001  # REP 118
_DEPTH_HEADER_BYTES = 12  # compressed_depth_image_transport: one enum, two float32


class RawImage(Protocol):
    """The fields of sensor_msgs/Image that are used."""

    encoding: str
    is_bigendian: int
    height: int
    width: int
    step: int
    data: np.ndarray


class CompressedImage(Protocol):
    """The fields of sensor_msgs/CompressedImage that are used."""

    format: str
    data: np.ndarray


def is_depth(message: RawImage | CompressedImage) -> bool:
    """Say whether the message states to hold depth."""
    if hasattr(message, "encoding"):
        return message.encoding in DEPTH_ENCODINGS
    stated = message.format
    return "compressedDepth" in stated or stated.split(";")[0].strip() in DEPTH_ENCODINGS


def rgb_of(message: RawImage | CompressedImage) -> np.ndarray:
    """Return (h, w, 3) uint8 RGB.

    Raises:
        SourceError: unknown encoding, size and data disagree, or the data is no image.
    """
    if not hasattr(message, "encoding"):
        return cv2.cvtColor(_unpack(message, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if message.encoding in _ORDERS:
        channels, order = _ORDERS[message.encoding]
        return _raster(message, np.dtype(np.uint8), channels)[..., order]
    if message.encoding in _YUV:
        return cv2.cvtColor(_raster(message, np.dtype(np.uint8), 2), _YUV[message.encoding])
    raise SourceError(
        f"colour encoding {message.encoding!r}, allowed: {', '.join(COLOR_ENCODINGS)}"
    )


def depth_m_of(message: RawImage | CompressedImage) -> np.ndarray:
    """Return (h, w) float32 metres, NaN where unknown.

    Raises:
        SourceError: unknown encoding, size and data disagree, or the data is no image.
    """
    if not hasattr(message, "encoding"):
        return _compressed_depth(message)
    if message.encoding not in DEPTH_ENCODINGS:
        raise SourceError(
            f"depth encoding {message.encoding!r}, allowed: {', '.join(DEPTH_ENCODINGS)}"
        )
    kind = np.dtype(np.uint16 if message.encoding == "16UC1" else np.float32)
    kind = kind.newbyteorder(">" if message.is_bigendian else "<")
    return metres(_raster(message, kind, 1)[..., 0], _MILLIMETRE_M)


def _raster(message: RawImage, kind: np.dtype, channels: int) -> np.ndarray:
    """Return (h, w, channels) without the padding of the rows."""
    height, width, step = message.height, message.width, message.step
    row = width * channels * kind.itemsize
    if not height or not width or step < row or len(message.data) < step * height:
        raise SourceError(
            f"{width}x{height} {message.encoding} needs rows of {row} bytes; has step {step} and "
            f"{len(message.data)} bytes"
        )
    rows = np.frombuffer(message.data, np.uint8, count=step * height).reshape(height, step)
    return np.ascontiguousarray(rows[:, :row]).view(kind).reshape(height, width, channels)


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
        return metres(raw, _MILLIMETRE_M)
    if not with_header:
        raise SourceError(f"format {message.format!r}: 32FC1 is allowed as compressedDepth only")
    scale, offset = np.frombuffer(message.data, "<f4", count=2, offset=4)
    with np.errstate(divide="ignore"):
        depth = np.where(raw > 0, scale / (raw.astype(np.float32) - offset), np.nan)
    return metres(depth.astype(np.float32), 1.0)
