# SPDX-License-Identifier: Apache-2.0
"""From control points to traces, always in fp32."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mu0_core.errors import ShapeError
from mu0_core.model.config import WorldModelConfig
from mu0_core.spline.basis import bezier_knots
from mu0_core.spline.curve import SPLINES, rendering

DEGREE = 3
_FITTED_POINTS = 10  # of the splines that stand for traces of models that predict none


def trace_knots(config: WorldModelConfig) -> np.ndarray:
    """Return the clamped cubic knots of the model's traces.

    Its control points refer to them if it predicts splines; else splines are fitted to its traces.
    """
    if config.trace_knots in SPLINES:
        return SPLINES[config.trace_knots](config.trace_bspline_n_ctrl)
    return bezier_knots(_FITTED_POINTS)


def path_basis(config: WorldModelConfig) -> np.ndarray:
    """Return the (H + 1, D) matrix from what the model predicts to steps 0..H of the trace."""
    return rendering(config.trace_knots, config.trace_bspline_n_ctrl, config.future_len)


def trace_basis(config: WorldModelConfig) -> Tensor:
    """Return the (H, D) part of `path_basis` at the phases 1/H, 2/H, … 1."""
    return torch.from_numpy(path_basis(config)[1:]).float()


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
