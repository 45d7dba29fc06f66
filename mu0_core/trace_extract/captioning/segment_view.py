# SPDX-License-Identifier: Apache-2.0
"""The pictures of a motion segment that a captioner looks at."""

from __future__ import annotations

import cv2
import numpy as np

from mu0_core.errors import DataError, ShapeError

_DIMMED = 0.3
_REACH = 1 / 40  # of the image width, around the way of each point


def shown_frames(first: int, last: int, with_middle: bool) -> list[int]:
    """Return the frames to show: the first, perhaps the one in the middle, the last."""
    middle = [(first + last) // 2] if with_middle else []
    return sorted({first, *middle, last})


def motion_picture(rgb: np.ndarray, uv_px: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the image, dark where no point of the segment comes by.

    Args:
        rgb: (h, w, 3) uint8, the first frame of the segment.
        uv_px: (P, F, 2) pixels of the moving points in the segment's frames; ignored where not
            valid.
        valid: (P, F) bool.

    Raises:
        ShapeError: the shapes disagree.
        DataError: a valid point is not finite.
    """
    if rgb.ndim != 3 or uv_px.shape != (*valid.shape, 2) or valid.ndim != 2:
        raise ShapeError(
            f"image {rgb.shape}, points {uv_px.shape}, valid {valid.shape}: expected (h, w, 3), "
            "(P, F, 2) and (P, F)"
        )
    if not np.isfinite(uv_px[valid]).all():
        raise DataError("a point marked valid is NaN or infinite; mark it as not valid")
    height, width = rgb.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    radius = max(1, round(width * _REACH))
    for path, seen in zip(uv_px, valid, strict=True):
        corners = np.clip(path[seen], -2 * width, 3 * width)  # cv2 wants moderate numbers
        corners = np.rint(corners).astype(np.int32).reshape(-1, 1, 2)
        if len(corners):
            cv2.polylines(mask, [corners], False, 255, 2 * radius)
            cv2.circle(mask, tuple(map(int, corners[-1, 0])), radius, 255, -1)
    return np.where(mask[..., None] > 0, rgb, (rgb * _DIMMED).astype(np.uint8))
