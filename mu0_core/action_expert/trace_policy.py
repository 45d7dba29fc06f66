# SPDX-License-Identifier: Apache-2.0
"""The embedded action expert: traces, instruction and robot state in, a chunk of tip motion out.

Same parts as the release's (gated motion mixer, adaRMS flow-matching head), sized for a laptop and
with the prefix computed once per chunk. Motion tokens are the forecast traces themselves, in
metres in the base frame, instead of hidden states over a pixel grid: so the expert needs only the
`TraceForecast` of a frozen μ0, and another forecaster can stand in.

Flow convention (μ0 paper): ``x_t = t * noise + (1 - t) * action``; t = 1 is noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mu0_core.action_expert import motion_features as features
from mu0_core.action_expert.adarms_transformer import AdaRmsTransformer, KeyValue
from mu0_core.action_expert.gated_motion_mixer import GatedMotionMixer
from mu0_core.action_expert.trace_policy_config import TracePolicyConfig


class TracePolicy(nn.Module):
    """Flow-matching policy over normalised chunks (B, T, action_dim)."""

    def __init__(self, config: TracePolicyConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        if config.use_trace:
            motion = features.motion_width(config.num_control_points)
            self.motion_in = nn.Sequential(
                nn.Linear(motion, width), nn.SiLU(), nn.Linear(width, width)
            )
            self.gated_mixer = GatedMotionMixer(config.backbone_width, width, config.mixer_heads)
        self.z_norm = nn.LayerNorm(config.backbone_width)
        self.z_proj = nn.Linear(config.backbone_width, width)
        state = features.STATE_WIDTH + 3 * config.num_control_points * config.use_trace
        self.state_proj = nn.Sequential(
            nn.Linear(state, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.kind = nn.Parameter(torch.randn(3, width) * 0.02)
        self.action_in_proj = nn.Linear(config.action_dim, width)
        self.action_position = nn.Parameter(torch.randn(config.chunk_size, width) * 0.02)
        self.action_out_proj = nn.Linear(width, config.action_dim)
        self.time_mlp_in = nn.Linear(width, width)
        self.time_mlp_out = nn.Linear(width, width)
        self.gemma_expert = AdaRmsTransformer(config.transformer)
        shape = (config.chunk_size, config.action_dim)
        self.register_buffer("action_mean", torch.zeros(shape))
        self.register_buffer("action_std", torch.ones(shape))

    def prefix(
        self,
        z: Tensor,
        z_valid: Tensor,
        state: Tensor,
        motion: Tensor | None,
        motion_valid: Tensor | None,
    ) -> tuple[list[KeyValue], Tensor]:
        """Return cached keys and values and the validity (B, P) of everything that is given.

        Args:
            z: (B, L, d) backbone tokens before the final norm; z_valid: (B, L) bool.
            state: (B, S) of `features.state_features`, followed by `features.carried_motion`
                when traces are used.
            motion: (B, N, M) of `features.motion_features`; motion_valid: (B, N) bool.
        """
        parts, valid = [], []
        if self.config.use_trace:
            tokens = self.motion_in(motion)
            z = self.gated_mixer(z, z_valid, tokens, motion_valid)
            parts.append(tokens + self.kind[0])
            valid.append(motion_valid)
        parts.append(self.z_proj(self.z_norm(z)) + self.kind[1])
        valid.append(z_valid)
        parts.append((self.state_proj(state) + self.kind[2]).unsqueeze(1))
        valid.append(z_valid.new_ones(len(z), 1))
        all_valid = torch.cat(valid, dim=1)
        return self.gemma_expert.encode_prefix(torch.cat(parts, dim=1), all_valid), all_valid

    def velocity(self, cache: list[KeyValue], valid: Tensor, x_t: Tensor, time: Tensor) -> Tensor:
        """Return the flow velocity (B, T, action_dim) at x_t (same shape) and time (B,)."""
        tokens = self.action_in_proj(x_t) + self.action_position
        condition = self.time_mlp_out(nn.functional.silu(self.time_mlp_in(self._embed(time))))
        hidden = self.gemma_expert.decode(cache, valid, tokens, nn.functional.silu(condition))
        return self.action_out_proj(hidden)

    def _embed(self, time: Tensor) -> Tensor:
        half = self.config.width // 2
        fraction = torch.arange(half, device=time.device, dtype=torch.float64) / (half - 1)
        period = 0.004 * (4.0 / 0.004) ** fraction
        angle = 2 * math.pi * time.double().unsqueeze(-1) / period
        return torch.cat([angle.sin(), angle.cos()], dim=-1).to(self.action_in_proj.weight.dtype)

    def normalise(self, actions: Tensor) -> Tensor:
        """Return actions (..., T, action_dim) in the space of the flow."""
        return (actions - self.action_mean) / self.action_std

    @torch.no_grad()
    def sample(
        self, cache: list[KeyValue], valid: Tensor, noise: Tensor, num_steps: int | None = None
    ) -> Tensor:
        """Return actions (B, T, action_dim): tip offsets in metres and opening in metres."""
        steps = num_steps or self.config.num_steps
        x = noise
        for k in range(steps):
            time = x.new_full((len(x),), 1.0 - k / steps)
            x = x - self.velocity(cache, valid, x, time) / steps
        return x * self.action_std + self.action_mean

    def loss(
        self,
        cache: list[KeyValue],
        valid: Tensor,
        actions: Tensor,
        noise: Tensor,
        time: Tensor,
        repeats: int = 1,
    ) -> Tensor:
        """Return the flow-matching loss; several noise draws may share one prefix.

        Args:
            cache, valid: of `prefix`, B rows.
            actions: (B, T, action_dim) in metres.
            noise: (B * repeats, T, action_dim); time: (B * repeats,), row-major over (B, repeats).
        """
        if repeats > 1:
            cache = [tuple(x.repeat_interleave(repeats, 0) for x in kv) for kv in cache]
            valid, actions = (x.repeat_interleave(repeats, 0) for x in (valid, actions))
        target = self.normalise(actions)
        t = time.view(-1, 1, 1)
        v = self.velocity(cache, valid, t * noise + (1 - t) * target, time)
        return (v - (noise - target)).square().mean()
