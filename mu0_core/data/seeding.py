# SPDX-License-Identifier: Apache-2.0
"""Random generators of a data loader: no two draws of a training share one.

The release copies one generator into every worker and rank and never reseeds it, so that they draw
the same. Here each draw is keyed by its epoch, rank and item. The worker is not part of the key:
items of one rank are never drawn by two workers, and results do not depend on how many workers
there are.
"""

from __future__ import annotations

import numpy as np


def draw_rng(seed: int, epoch: int, rank: int, item: int, attempt: int = 0) -> np.random.Generator:
    """Return the generator of one draw; equal arguments give equal draws.

    Raises:
        ValueError: an argument is negative.
    """
    return np.random.default_rng([seed, epoch, rank, item, attempt])
