# SPDX-License-Identifier: Apache-2.0
"""Which usable slots of held-out episodes are evaluated; the same ones each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mu0_core.data.index import EpisodeIndex
from mu0_core.errors import DataError


def evaluated_slots(
    index: EpisodeIndex, offsets: Sequence[int] | None, limit: int | None, seed: int = 0
) -> EpisodeIndex:
    """Return an index of the slots that are evaluated.

    Args:
        index: of the usable slots, those of an episode in time order.
        offsets: which ones of an episode, from 0; the last one of an episode that is shorter than
            all of them. None = every one.
        limit: at most so many, drawn at random, or None.
        seed: of that draw.

    Raises:
        DataError: there is none.
    """
    by_episode: dict[Path, list[int]] = {}
    for directory, slot in index.items:
        by_episode.setdefault(directory, []).append(slot)
    chosen = []
    for directory, slots in by_episode.items():
        places = range(len(slots))
        if offsets is not None:
            places = [k for k in offsets if k < len(slots)] or [len(slots) - 1]
        chosen += [(directory, slots[k]) for k in places]
    if not chosen:
        raise DataError(
            f"the held-out episodes have no usable slot; broken: {index.rejected or 'none'}; "
            f"left out: {index.unusable or 'none'}"
        )
    order = np.random.default_rng(seed).permutation(len(chosen))[:limit]
    return replace(index, items=tuple(chosen[k] for k in sorted(order)))
