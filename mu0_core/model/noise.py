# SPDX-License-Identifier: Apache-2.0
"""Reproducible starting noise: a seed gives the same numbers in any batch, on any device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def seeded_noise(seeds: Sequence[int], num_samples: int, num_points: int, num_ctrl: int) -> Tensor:
    """Draw (B, S, N, D, 3) standard normal noise, one seed per observation.

    Sample s of an observation is a stream of its own and point n comes before point n + 1, so
    asking for more samples or more points never changes the ones there were.
    """
    noise = np.empty((len(seeds), num_samples, num_points, num_ctrl, 3), np.float32)
    for b, seed in enumerate(seeds):
        for s in range(num_samples):
            stream = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, s))))
            noise[b, s] = stream.standard_normal((num_points, num_ctrl, 3))
    return torch.from_numpy(noise)
