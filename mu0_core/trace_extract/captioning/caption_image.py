# SPDX-License-Identifier: Apache-2.0
"""Pictures in the size and form in which captioners take them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_JPEG_QUALITY = 90


def fitted(rgb: np.ndarray, longest_px: int) -> np.ndarray:
    """Return (h, w, 3) uint8 shrunk so that no side is longer; never enlarged."""
    height, width = rgb.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(rgb)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(np.ascontiguousarray(rgb), size, interpolation=cv2.INTER_AREA)


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return pictures of one size in a row."""
    return np.hstack(list(pictures))


def jpeg(rgb: np.ndarray) -> bytes:
    """Return an image (h, w, 3) uint8 as JPEG."""
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    return data.tobytes()
