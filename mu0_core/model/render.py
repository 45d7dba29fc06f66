# SPDX-License-Identifier: Apache-2.0
"""From control points to traces, always in fp32."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mu0_core.errors import ShapeError
from mu0_core.model.config import WorldModelConfig
from mu0_core.spline.basis import bezier_knots, design_matrix, uniform_knots

DEGREE = 3


def trace_knots(config: WorldModelConfig) -> np.ndarray:
    """Return the clamped cubic knots that the model's control points refer to."""
    make = bezier_knots if config.trace_knots == "bezier" else uniform_knots
    return make(config.trace_bspline_n_ctrl)


def trace_basis(config: WorldModelConfig, steps: int | None = None) -> Tensor:
    """Return the (H, D) basis at the phases 1/H, 2/H, … 1; H defaults to ``future_len``."""
    steps = steps or config.future_len
    phases = np.arange(1, steps + 1) / steps
    return torch.from_numpy(design_matrix(trace_knots(config), DEGREE, phases)).float()


def render_traces(control_points: Tensor, basis: Tensor) -> Tensor:
    """Evaluate (..., D, 3) control points; returns (..., H, 3) in the same space."""
    if control_points.shape[-2] != basis.shape[1]:
        raise ShapeError(f"{control_points.shape[-2]} control points, basis of {basis.shape[1]}")
    with torch.autocast(control_points.device.type, enabled=False):
        return basis.to(control_points.device) @ control_points.float()


def unnormalise(
    deltas: Tensor, query: Tensor, delta_scale: tuple[float, float, float] | Tensor
) -> Tensor:
    """Turn scaled deltas into absolute u, v (in [-1, 1]) and z (metres).

    Args:
        deltas: (B, S, N, K, 3) control points or trace steps.
        query: (B, N, 3) anchors.
        delta_scale: per axis.
    """
    scale = torch.as_tensor(delta_scale, dtype=torch.float32, device=deltas.device)
    return deltas.float() * scale + query.float()[:, None, :, None]


def end_phase(done_logits: Tensor) -> np.ndarray:
    """Return the phase (...,) float32 of the first of H steps that is no longer motion; 1 if none.

    Args:
        done_logits: (..., H), positive where a step belongs to the motion.
    """
    ended = (done_logits < 0).cpu().numpy()
    horizon = ended.shape[-1]
    first = np.where(ended.any(-1), ended.argmax(-1), horizon)
    return (first / horizon).astype(np.float32)
