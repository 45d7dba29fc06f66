# SPDX-License-Identifier: Apache-2.0
"""The rigid motion that takes points to others with the least squares (Kabsch)."""

from __future__ import annotations

import numpy as np


def rigid_fit(
    before: np.ndarray, after: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return T (..., 4, 4) that maps points (..., N, 3) best onto others, never mirrored.

    Three points that are not on one line determine it; of fewer the turn is arbitrary.

    Args:
        before, after: the points.
        weights: (..., N), not negative and not all zero; None = all alike.
    """
    if weights is None:
        weights = np.ones(before.shape[:-1])
    share = weights / weights.sum(axis=-1, keepdims=True)
    centre = np.einsum("...n,...ni->...i", share, before)
    centre_after = np.einsum("...n,...ni->...i", share, after)
    off, off_after = before - centre[..., None, :], after - centre_after[..., None, :]
    u, _, vt = np.linalg.svd(np.einsum("...n,...ni,...nj->...ij", share, off_after, off))
    u[..., 2] *= np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)[..., None]
    T = np.zeros((*centre.shape[:-1], 4, 4))
    T[..., :3, :3] = u @ vt
    T[..., :3, 3] = centre_after - np.einsum("...ij,...j->...i", T[..., :3, :3], centre)
    T[..., 3, 3] = 1.0
    return T
