# SPDX-License-Identifier: Apache-2.0
"""Random draws of a training step (μ0 paper): flow time, and which history is hidden."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_time(batch: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw (B,) flow times, Beta(1.5, 1) scaled to (0.001, 1]: more often near the noise."""
    uniform = torch.rand(batch, generator=generator)
    return uniform.pow(1 / 1.5) * 0.999 + 0.001


def draw_history_valid(
    batch: int,
    points: int,
    full_mask_prob: float,
    point_mask_prob: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw (B, N) bool: an observation loses all history, else each point may lose its own."""
    keep = torch.rand(batch, 1, generator=generator) >= full_mask_prob
    return keep & (torch.rand(batch, points, generator=generator) >= point_mask_prob)
