# SPDX-License-Identifier: Apache-2.0
"""Image messages as numpy arrays, without cv_bridge (which breaks with numpy 2).

Depth follows REP 117 and 118: ``32FC1`` in metres (NaN = unknown) or ``16UC1`` in millimetres
(0 = unknown); anything else is refused by name.
"""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import Image

from mu0_core.errors import ObservationError

# encoding -> dtype, channels, order of R, G, B (None for depth)
_COLOUR = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
}
_DEPTH = {"32FC1": np.float32, "16UC1": np.uint16}
MAX_SIDE_PX = 8192


def rgb_from_image(message: Image) -> np.ndarray:
    """Return (h, w, 3) uint8 RGB; a view where the encoding allows it.

    Raises:
        ObservationError: unknown encoding, or size, step and data disagree.
    """
    if message.encoding not in _COLOUR:
        raise ObservationError(
            f"colour image has encoding {message.encoding!r}, allowed: {', '.join(_COLOUR)}"
        )
    channels, order = _COLOUR[message.encoding]
    pixels = _pixels(message, np.dtype(np.uint8), channels)
    return pixels if order == (0, 1, 2) and channels == 3 else pixels[..., order]


def depth_m_from_image(message: Image) -> np.ndarray:
    """Return (h, w) float32 metres, NaN where unknown.

    Raises:
        ObservationError: unknown encoding, or size, step and data disagree.
    """
    if message.encoding not in _DEPTH:
        raise ObservationError(
            f"depth image has encoding {message.encoding!r}, allowed: 32FC1 (metres), "
            "16UC1 (millimetres)"
        )
    dtype = np.dtype(_DEPTH[message.encoding]).newbyteorder(">" if message.is_bigendian else "<")
    raw = _pixels(message, dtype, 1)[..., 0]
    if message.encoding == "16UC1":
        depth = raw.astype(np.float32) * np.float32(1e-3)
        depth[raw == 0] = np.nan
        return depth
    depth = raw.astype(np.float32)
    depth[~np.isfinite(depth) | (depth <= 0)] = np.nan
    return depth


def _pixels(message: Image, dtype: np.dtype, channels: int) -> np.ndarray:
    """Return the raster (h, w, channels) without the padding of its rows."""
    h, w, step = message.height, message.width, message.step
    if not (0 < h <= MAX_SIDE_PX and 0 < w <= MAX_SIDE_PX):
        raise ObservationError(f"image of {w}x{h} pixels, allowed 1..{MAX_SIDE_PX} a side")
    row = w * channels * dtype.itemsize
    if step < row:
        raise ObservationError(f"image step {step} is shorter than a row of {row} bytes")
    if len(message.data) < step * h:
        raise ObservationError(
            f"image data has {len(message.data)} bytes, {h} rows of {step} need {step * h}"
        )
    rows = np.frombuffer(message.data, np.uint8, count=step * h).reshape(h, step)[:, :row]
    return np.ascontiguousarray(rows).view(dtype).reshape(h, w, channels)


def image_from_rgb(rgb: np.ndarray) -> Image:
    """Return an rgb8 message of (h, w, 3) uint8; the header is the caller's."""
    return _message(rgb, "rgb8", 3)


def image_from_depth_m(depth_m: np.ndarray) -> Image:
    """Return a 32FC1 message of (h, w) metres; NaN stays NaN (REP 117)."""
    return _message(np.ascontiguousarray(depth_m, dtype="<f4"), "32FC1", 4)


def _message(pixels: np.ndarray, encoding: str, pixel_bytes: int) -> Image:
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    message = Image(encoding=encoding, is_bigendian=0)
    message.height, message.width = pixels.shape[:2]
    message.step = pixels.shape[1] * pixel_bytes
    message.data = data
    return message
