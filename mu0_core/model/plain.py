# SPDX-License-Identifier: Apache-2.0
"""The unoptimised sampling path: same weights, same numbers, the work of a direct transcription.

Only for comparison, in tests and in the benchmark: every sample re-encodes the observation,
every Euler step copies the prefix and projects it again, attention materialises its logits,
masked history stays in the sequence, an absent depth image is encoded as a masked black one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from mu0_core.model.time_embedding import euler_times
from mu0_core.model.world_model import TraceSamples, WorldModel


@torch.no_grad()
def plain_sample(
    model: WorldModel,
    images: Tensor,
    language_tokens: Tensor,
    language_mask: Tensor,
    query: Tensor,
    noise: Tensor,
    *,
    point_valid: Tensor | None = None,
) -> TraceSamples:
    """Sample without history and depth; arguments and result as in `WorldModel`.

    Args:
        noise: (B, S, N, D, 3).
    """
    config, steps = model.config, model.config.num_steps
    batch, points = query.shape[:2]
    history = query.new_zeros(batch, points, config.history_len, 3)
    dropped = torch.zeros(batch, points, dtype=torch.bool, device=query.device)
    absent = torch.zeros(batch, dtype=torch.bool, device=query.device)
    controls, dones = [], []
    with sdpa_kernel(SDPBackend.MATH):
        for sample in range(noise.shape[1]):
            depth = torch.zeros_like(images) if config.use_depth else None
            prefix = model.encode_prefix(
                images, language_tokens, language_mask, depth, depth_valid=absent
            )
            features = model.point_features(images, query[..., :2], point_valid)
            state = noise[:, sample : sample + 1].float()
            for time in euler_times(steps, query.device):
                context = model.context(
                    prefix.map(torch.clone),
                    features,
                    query,
                    history,
                    point_valid=point_valid,
                    history_valid=dropped,
                )
                flow = model.flow(context, state, model.expert.modulate(time[None]), time[None])
                state = state - flow.velocity / steps
            controls.append(state)
            dones.append(flow.done_logits)
    done = None if dones[0] is None else torch.cat(dones, dim=1)
    return TraceSamples(torch.cat(controls, dim=1), done)
