# SPDX-License-Identifier: Apache-2.0
"""Arrays as image messages, without cv_bridge (which breaks with numpy 2).

The way back is `mu0_core.observation.image_raster`, which bags are read with as well.
"""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import Image


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
