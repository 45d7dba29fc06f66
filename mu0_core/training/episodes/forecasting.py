# SPDX-License-Identifier: Apache-2.0
"""What a model forecasts for observations, as traces: the part that all evaluations share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mu0_core.model.config import WorldModelConfig
from mu0_core.model.flow import TraceSamples
from mu0_core.model.noise import seeded_noise
from mu0_core.model.render import render_traces, trace_basis, unnormalise
from mu0_core.training.episodes.batch import Observations


def sampled_paths(
    module: nn.Module,
    seen: Observations,
    seeds: Sequence[int],
    samples: int,
    config: WorldModelConfig,
    device: torch.device,
    first_noise: float = 1.0,
) -> tuple[Tensor, Tensor | None]:
    """Return sampled traces, and where the first sample of each is still motion.

    Args:
        module: a `TraceTraining`, distributed or not, on ``device``.
        seen: B observations.
        seeds: of their noise; with it their samples do not depend on the other observations.
        samples: S.
        config: of the model, with scales.
        device: where the model lies.
        first_noise: scale of the noise of the first sample.

    Returns:
        (B, S, N, H, 3) u, v in [-1, 1] and z in metres at steps 1..H, and the probability
        (B, N, H) that a step belongs to the motion, None for a model without a done head; on the
        CPU.
    """
    basis = trace_basis(config)
    noise = seeded_noise(seeds, samples, seen.query.shape[1], basis.shape[1])
    noise[:, 0] *= first_noise
    forecast: TraceSamples = module(seen.to(device), noise=noise.to(device))
    deltas = render_traces(forecast.control_points, basis)
    paths = unnormalise(deltas, seen.query.to(device), config.delta_scale).cpu()
    done = forecast.done_logits
    return paths, None if done is None else done[:, 0].sigmoid().cpu()
