# SPDX-License-Identifier: Apache-2.0
"""Which time of one clock reading belongs to which of another."""

from __future__ import annotations

import numpy as np


def nearest_within(times_s: np.ndarray, others_s: np.ndarray, tolerance_s: float) -> np.ndarray:
    """Return (T,) the index of the nearest of ``others_s`` (S,), -1 where none is near enough.

    Args:
        times_s: (T,) seconds, in any order.
        others_s: (S,) seconds, increasing; may be empty.
        tolerance_s: largest distance that counts; the earlier one wins a tie.
    """
    if not len(others_s):
        return np.full(len(times_s), -1)
    after = np.clip(np.searchsorted(others_s, times_s), 1, max(len(others_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(others_s) - 1)
    is_before = np.abs(times_s - others_s[before]) <= np.abs(others_s[after] - times_s)
    nearest = np.where(is_before, before, after)
    return np.where(np.abs(others_s[nearest] - times_s) <= tolerance_s, nearest, -1)
