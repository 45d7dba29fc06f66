# SPDX-License-Identifier: Apache-2.0
"""What the embedded action expert reads: forecast traces and robot state as feature vectors.

All positions are in the base frame and relative to the tip, in metres; sines and cosines at
several wavelengths keep millimetres readable.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_WAVELENGTHS_M = (1.6, 0.8, 0.4, 0.2, 0.1, 0.05)
_AT_TIP_M = 0.02


def position_features(points_m: Tensor) -> Tensor:
    """Return (..., 3 + 36) features of points (..., 3) in metres."""
    frequency = points_m.new_tensor([2 * math.pi / w for w in _WAVELENGTHS_M])
    angle = (points_m.unsqueeze(-1) * frequency).flatten(-2)
    return torch.cat([points_m * 5.0, angle.sin(), angle.cos()], dim=-1)


POSITION_WIDTH = 3 + 6 * len(_WAVELENGTHS_M)


def motion_features(points_m: Tensor, control_m: Tensor, valid_until: Tensor) -> Tensor:
    """Return motion tokens (B, N, M) of forecast traces.

    Args:
        points_m: (B, N, 3) query points now, base frame, relative to the tip.
        control_m: (B, N, D, 3) control points, same frame and origin.
        valid_until: (B, N) phase in 0..1 up to which the trace is to be used.
    """
    offset = (control_m - points_m.unsqueeze(-2)).flatten(-2) * 5.0
    end = position_features(control_m[..., -1, :])
    return torch.cat([position_features(points_m), offset, end, valid_until.unsqueeze(-1)], dim=-1)


def carried_motion(points_m: Tensor, control_m: Tensor, valid: Tensor) -> Tensor:
    """Return (B, 3 D) the mean forecast motion of what is at the tip: the arm's own trace.

    Points are weighted by their nearness to the tip; arguments as in `motion_features`, ``valid``
    (B, N) bool.
    """
    nearness = -torch.linalg.vector_norm(points_m, dim=-1) / _AT_TIP_M
    weight = nearness.masked_fill(~valid, -torch.inf).softmax(dim=-1)
    offset = control_m - points_m.unsqueeze(-2)
    return (weight[..., None, None] * offset).sum(dim=1).flatten(-2) * 5.0


def motion_width(num_control_points: int) -> int:
    """Return M."""
    return 2 * POSITION_WIDTH + 3 * num_control_points + 1


def state_features(tip_m: Tensor, opening_m: Tensor, open_m: float) -> Tensor:
    """Return (B, S) of the tip (B, 3) in the base frame and the finger opening (B,)."""
    share = (opening_m / open_m).unsqueeze(-1)
    return torch.cat([position_features(tip_m), share, share.square()], dim=-1)


STATE_WIDTH = POSITION_WIDTH + 2
