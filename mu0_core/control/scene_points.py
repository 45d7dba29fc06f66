# SPDX-License-Identifier: Apache-2.0
"""Fewer points that stand for many: what of a camera's cloud the arm could ever touch."""

from __future__ import annotations

import numpy as np

from mu0_core.errors import ConfigError

_MOST = 1000


def thinned(points_m: np.ndarray, radius_m: float, reach_m: float) -> tuple[np.ndarray, float]:
    """Return points (M, 3), at most 1000, and a radius so that their balls hold all points.

    Points share cells of a grid; the middle of a cell stands for all in it. Cells grow until few
    enough are left, so a full scene is seen more coarsely, never in part.

    Args:
        points_m: (K, 3) in the base frame.
        radius_m: of each point.
        reach_m: points further from the base than this are left out.

    Raises:
        ConfigError: the radius is not positive.
    """
    if not radius_m > 0:
        raise ConfigError(f"point radius {radius_m} m: expected a positive number")
    near = points_m[np.linalg.norm(points_m, axis=1) <= reach_m + radius_m]
    cell = radius_m
    while True:
        cells = np.unique(np.floor(near / cell).astype(np.int64), axis=0)
        if len(cells) <= _MOST:
            return (cells + 0.5) * cell, radius_m + cell * np.sqrt(3.0) / 2
        cell *= 1.5
