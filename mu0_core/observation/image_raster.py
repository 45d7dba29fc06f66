# SPDX-License-Identifier: Apache-2.0
"""Rasters of sensor_msgs/Image as arrays, live and from bags, without ROS and without cv_bridge.

Depth follows REP 117 and 118: ``32FC1`` in metres (NaN = unknown) or ``16UC1`` in millimetres
(0 = unknown); anything else is refused by name.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mu0_core.errors import ObservationError

# encoding -> channels, order of R, G, B in them
_ORDERS = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
}
_YUV = {"yuv422_yuy2": "COLOR_YUV2RGB_YUY2", "yuv422": "COLOR_YUV2RGB_UYVY"}
COLOR_ENCODINGS = (*_ORDERS, *_YUV)
_DEPTH = {"32FC1": np.float32, "16UC1": np.uint16}
DEPTH_ENCODINGS = tuple(_DEPTH)
MILLIMETRE_M = 0.001  # REP 118
MAX_SIDE_PX = 8192


class RasterImage(Protocol):
    """The fields of sensor_msgs/Image that are used."""

    encoding: str
    is_bigendian: int
    height: int
    width: int
    step: int
    data: bytes | np.ndarray


def rgb_from_image(message: RasterImage) -> np.ndarray:
    """Return (h, w, 3) uint8 RGB; a view where the encoding allows it.

    Raises:
        ObservationError: unknown encoding, or size, step and data disagree.
    """
    if message.encoding in _YUV:
        import cv2  # the only encodings that need more than numpy

        return cv2.cvtColor(
            _pixels(message, np.dtype(np.uint8), 2), getattr(cv2, _YUV[message.encoding])
        )
    if message.encoding not in _ORDERS:
        raise ObservationError(
            f"colour image has encoding {message.encoding!r}, allowed: "
            f"{', '.join(COLOR_ENCODINGS)}"
        )
    channels, order = _ORDERS[message.encoding]
    pixels = _pixels(message, np.dtype(np.uint8), channels)
    return pixels if order == (0, 1, 2) and channels == 3 else pixels[..., order]


def depth_m_from_image(message: RasterImage) -> np.ndarray:
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
    return known_depth_m(raw, MILLIMETRE_M if message.encoding == "16UC1" else 1.0)


def known_depth_m(raw: np.ndarray, unit_m: float) -> np.ndarray:
    """Return depth (h, w) float32 metres of numbers in units; NaN where not finite or not > 0."""
    depth = raw.astype(np.float32)
    if unit_m != 1.0:
        depth *= np.float32(unit_m)
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return depth


def _pixels(message: RasterImage, dtype: np.dtype, channels: int) -> np.ndarray:
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
