# SPDX-License-Identifier: Apache-2.0
"""Coordinates as words, one waypoint after the other, as HAMSTER's language model writes its path.

A coordinate of a waypoint is one of ``trace_bins`` values. A waypoint sees those before it, of all
points, and its three coordinates are drawn at once. The first sample takes the likeliest value,
the others are drawn from the distribution.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from mu0_core.model.backbone_config import BackboneConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.expert import joint_mask
from mu0_core.model.flow import FlowContext, TraceSamples
from mu0_core.model.prefix import Prefix
from mu0_core.model.suffix import suffix_mask
from mu0_core.model.world_model import WorldModel

_LIMIT = 2.0  # largest scaled displacement that has a word


class CoordinateTokens(WorldModel):
    """Predicts the words of each waypoint from those before; arguments as in `WorldModel`."""

    def __init__(self, config: WorldModelConfig, sizes: BackboneConfig) -> None:
        super().__init__(config, sizes)
        per_token = 3 * config.trace_bspline_ctrl_per_token
        self.out_future = nn.Linear(self.expert.width, per_token * config.trace_bins)

    def words(self, waypoints: Tensor) -> Tensor:
        """Return the word (int64) of each coordinate, the nearest one."""
        share = (waypoints.clamp(-_LIMIT, _LIMIT) + _LIMIT) / (2 * _LIMIT)
        return (share * (self.config.trace_bins - 1)).round().long()

    def values(self, words: Tensor) -> Tensor:
        """Return the scaled displacement that each word stands for."""
        return words.float() / (self.config.trace_bins - 1) * (2 * _LIMIT) - _LIMIT

    def context(
        self,
        prefix: Prefix,
        features: Tensor | None,
        query: Tensor,
        history: Tensor | None = None,
        *,
        point_valid: Tensor | None = None,
        history_valid: Tensor | None = None,
        num_samples: int = 1,
    ) -> FlowContext:
        """Compute what all evaluations share; a waypoint sees the ones before it."""
        found = super().context(
            prefix, features, query, history, point_valid=point_valid,
            history_valid=history_valid, num_samples=num_samples,
        )  # fmt: skip
        count = self.config.num_future_tokens
        groups = found.suffix.groups.clone()
        groups[-count:] += torch.arange(count, device=groups.device)
        suffix = replace(found.suffix, groups=groups, causal=True)
        tokens = num_samples * suffix.valid[0].numel()
        mask = joint_mask(found.cache, suffix_mask(suffix, num_samples), tokens)
        return FlowContext(suffix, found.cache, mask)

    def logits(self, context: FlowContext, waypoints: Tensor) -> Tensor:
        """Return (B, S, N, D, 3, bins) given the waypoints (B, S, N, D, 3) before each."""
        before = torch.cat([torch.zeros_like(waypoints[..., :1, :]), waypoints[..., :-1, :]], -2)
        still = torch.zeros(1, device=waypoints.device)
        found = self.flow(context, before, self.expert.modulate(still)).velocity
        return found.flatten(3).unflatten(3, (*waypoints.shape[3:], self.config.trace_bins))

    @torch.no_grad()
    def sample(
        self,
        prefix: Prefix,
        features: Tensor | None,
        query: Tensor,
        history: Tensor | None = None,
        *,
        num_samples: int = 1,
        num_steps: int | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        **masks: Tensor | None,
    ) -> TraceSamples:
        """Write S paths; ``noise`` (B, S, N, D, 3) decides every draw but those of the first."""
        count = self.config.trace_bspline_n_ctrl
        shape = (query.shape[0], num_samples, query.shape[1], count, 3)
        if noise is None:
            device = query.device if generator is None else generator.device
            noise = torch.randn(shape, generator=generator, device=device)
        self._check("noise", noise, shape)
        chance = torch.special.ndtr(noise.to(query.device, torch.float32))
        context = self.context(prefix, features, query, history, num_samples=num_samples, **masks)
        written = query.new_zeros(shape)
        for k in range(count):
            share = self.logits(context, written)[..., k, :, :].float().softmax(-1)
            drawn = (share.cumsum(-1) < chance[..., k, :, None]).sum(-1)
            drawn[:, 0] = share[:, 0].argmax(-1)
            written[..., k, :] = self.values(drawn.clamp(max=self.config.trace_bins - 1))
        return TraceSamples(written, None)
