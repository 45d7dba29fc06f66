# SPDX-License-Identifier: Apache-2.0
"""Cut a row of frames into parts of allowed lengths at the least total cost, exactly.

Wanted cuts have a cost below zero and are made wherever the lengths allow; any other cut costs
something and is made only where a part would be too long.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mu0_core.errors import ConfigError, ShapeError


def cheapest_cuts(cost: np.ndarray, min_length: int, max_length: int, max_parts: int) -> list[int]:
    """Return the frames that begin a new part, in order; none for fewer than two lengths.

    A row shorter than ``min_length`` is one part. A row longer than ``max_parts`` parts of
    ``max_length`` gets as many parts as it needs.

    Args:
        cost: (n,) of a cut before each frame; that of frame 0 is not used.
        min_length: frames of a part, at least.
        max_length: frames of a part, at most; at least twice ``min_length``, so that every row
            can be cut.
        max_parts: at most.

    Raises:
        ShapeError: ``cost`` is not one row of at least one frame.
        ConfigError: the lengths or the number of parts contradict this.
    """
    if cost.ndim != 1 or not len(cost):
        raise ShapeError(f"cost {cost.shape}: expected (n >= 1,)")
    if not 1 <= min_length <= max_length / 2 or max_parts < 1:
        raise ConfigError(
            f"lengths {min_length}..{max_length} (the longest at least twice the shortest) and "
            f"{max_parts} parts (at least 1) are not possible"
        )
    count = len(cost)
    if count < 2 * min_length:
        return []
    parts = max(max_parts, -(-count // max_length))
    totals, befores = _table(cost, min_length, max_length, parts)
    used = int(np.argmin(totals[:, count]))
    cuts, end = [], count
    for k in range(used, 0, -1):
        end = int(befores[k, end])
        cuts.append(end)
    return cuts[::-1]


def _table(
    cost: np.ndarray, min_length: int, max_length: int, parts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (parts, n + 1) least cost of the first frames in k + 1 parts, and the last cut."""
    count = len(cost)
    longest = min(max_length, count)
    ends = np.arange(count + 1)
    totals = np.full((parts, count + 1), np.inf)
    totals[0, (ends >= min_length) & (ends <= longest)] = 0.0
    befores = np.zeros((parts, count + 1), int)
    for k in range(1, parts):
        begun = np.append(totals[k - 1, :-1] + cost, np.inf)  # the next part begins here
        padded = np.concatenate([np.full(longest, np.inf), begun])
        # row e holds the begins e - longest .. e - min_length of the parts that end at e
        choices = sliding_window_view(padded, longest - min_length + 1)[: count + 1]
        best = np.argmin(choices, axis=1)
        totals[k] = choices[ends, best]
        befores[k] = ends - longest + best
    return totals, befores
