# SPDX-License-Identifier: Apache-2.0
"""Choose points that lie far apart."""

from __future__ import annotations

import numpy as np


def far_apart(points: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` indices of far-apart points (N, D), the first nearest to the centroid."""
    first = int(np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1)))
    chosen = [first]
    distance = np.linalg.norm(points - points[first], axis=1)
    for _ in range(count - 1):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)
