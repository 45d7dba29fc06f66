# SPDX-License-Identifier: Apache-2.0
"""Depth images at another size, without points that float between two surfaces.

Linear interpolation across an edge invents depth that exists nowhere. Here it is used only where
the four neighbours lie on one surface; elsewhere the nearest pixel is taken, unknown or not.
"""

from __future__ import annotations

import numpy as np

EDGE_RATIO = 1.05
"""Neighbours whose depths differ by more than this factor lie on two surfaces."""


def resize_depth(depth: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return depth (h, w), NaN where unknown, as (height, width) float32.

    Both images cover the same view from edge to edge (as `CameraIntrinsics.scaled` assumes).
    """
    depth = np.asarray(depth, np.float32)
    if depth.shape == (height, width):
        return depth.copy()
    top, bottom, v = _neighbours(depth.shape[0], height)
    left, right, u = _neighbours(depth.shape[1], width)
    corners = np.stack(
        [depth[np.ix_(rows, columns)] for rows in (top, bottom) for columns in (left, right)]
    )
    u, v = u[None, :], v[:, None]
    weights = np.stack([(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u])
    nearest = np.take_along_axis(corners, weights.argmax(0)[None], axis=0)[0]
    linear = (corners * weights).sum(axis=0, dtype=np.float32)  # NaN where any corner is unknown
    with np.errstate(invalid="ignore"):
        smooth = corners.max(axis=0) <= EDGE_RATIO * corners.min(axis=0)
    return np.where(smooth, linear, nearest).astype(np.float32)


def _neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (new,) the two pixels around each new pixel centre and the weight of the second."""
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    first = np.floor(place).astype(int)
    return first, np.minimum(first + 1, old - 1), (place - first).astype(np.float32)
