# SPDX-License-Identifier: Apache-2.0
"""Sinusoidal embedding of the flow time. Flow time 1 is noise, 0 is data."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def time_features(time: Tensor, width: int, min_period: float, max_period: float) -> Tensor:
    """Return (R, width) [sin, cos] features of (R,) times.

    Periods grow geometrically from ``min_period`` to ``max_period``; angles are formed in
    float64, because the shortest period leaves few digits to fp32.
    """
    fraction = torch.linspace(0.0, 1.0, width // 2, dtype=torch.float64, device=time.device)
    period = min_period * (max_period / min_period) ** fraction
    angle = time.double()[:, None] * (2 * math.pi / period)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def euler_times(steps: int, device: torch.device | str | None = None) -> Tensor:
    """Return the (steps,) fp32 times 1, 1 − 1/steps, … at which the flow is evaluated."""
    return torch.tensor([1.0 - k / steps for k in range(steps)], device=device)
