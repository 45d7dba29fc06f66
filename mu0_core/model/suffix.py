# SPDX-License-Identifier: Apache-2.0
"""Suffix tokens: what the trace expert reads about each query point.

Tokens are keypoint-major: per keypoint the history tokens, oldest first, then the future tokens.
Whatever does not depend on the flow state is embedded once per call (`SuffixContext`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mu0_core.model.config import WorldModelConfig

_DEPTH_FREQS = 8


@dataclass(frozen=True)
class SuffixContext:
    """The static part of a suffix of N keypoints.

    Attributes:
        history: (B, N, Gh, e) finished history tokens, or None when history is left out.
        future_offset: (B, N, Gf, e) added to every embedded flow state.
        fused: (B, N, e) share of the point features in the fusion layer, or None.
        valid: (B, N, G) bool tokens that others may attend to.
        groups: (G,) causal group of each token; equal for all future tokens of a flow.
        causal: future tokens are in groups of their own.
    """

    history: Tensor | None
    future_offset: Tensor
    fused: Tensor | None
    valid: Tensor
    groups: Tensor
    causal: bool = False


class SuffixEmbedding(nn.Module):
    """Embeds history, query, point features and the flow state to width e."""

    def __init__(self, config: WorldModelConfig, width: int, feature_width: int | None) -> None:
        super().__init__()
        self.config = config
        c = config
        self.time_embedding = nn.Embedding(c.history_len + c.future_len, width)
        self.segment_embedding = nn.Embedding(2, width)
        self.uv_mlp = _query_mlp(4 * c.trace_uv_num_freqs, width)
        self.depth_mlp = _query_mlp(2 * _DEPTH_FREQS + 1, width) if c.query_depth else None
        self.in_history = nn.Linear(3 * c.trace_group_horizon, width)
        self.in_future = nn.Linear(3 * c.trace_bspline_ctrl_per_token, width)
        self.fuse_in = self.fuse_out = None
        if feature_width is not None:
            self.fuse_in = nn.Linear(width + feature_width, width)
            self.fuse_out = nn.Linear(width, width)

    def prepare(
        self,
        query: Tensor,
        features: Tensor | None,
        point_valid: Tensor,
        history: Tensor | None,
        history_valid: Tensor | None,
    ) -> SuffixContext:
        """Embed everything that the flow state does not change.

        Args:
            query: (B, N, 3) u, v in [-1, 1] and z in metres.
            features: (B, N, C) point features.
            point_valid: (B, N) bool, False for padding.
            history: (B, N, h, 3) past minus current, oldest first; None leaves it out.
            history_valid: (B, N) bool, False drops a keypoint's history.
        """
        c, dtype = self.config, self.in_future.weight.dtype
        here = point_valid[..., None]
        query = torch.where(here, query, 0.0)
        position = self.uv_mlp(fourier(query[..., :2], c.trace_uv_num_freqs).to(dtype))
        if self.depth_mlp is not None:
            position = position + self.depth_mlp(self._depth_features(query[..., 2]).to(dtype))
        position = (position * here)[:, :, None]
        fused = None
        if self.fuse_in is not None:
            features = torch.where(here, features.to(dtype), 0.0)
            weight = self.fuse_in.weight[:, -features.shape[-1] :]
            fused = F.linear(features, weight, self.fuse_in.bias)

        gh, gf = c.num_history_tokens, c.num_future_tokens
        future = self.time_embedding.weight[gh : gh + gf] + self.segment_embedding.weight[1]
        valid = point_valid[..., None].expand(-1, -1, gf)
        groups = torch.full((gf,), gh, device=query.device)
        tokens = None
        if history is not None:
            steps = torch.where(history.isfinite() & here[..., None], history, 0.0).to(dtype)
            tokens = self.in_history(steps.unflatten(2, (gh, -1)).flatten(3)) + position
            tokens = tokens + self.time_embedding.weight[:gh] + self.segment_embedding.weight[0]
            tokens = self._fuse(tokens, fused)
            seen = point_valid if history_valid is None else point_valid & history_valid
            valid = torch.cat([seen[..., None].expand(-1, -1, gh), valid], dim=2)
            groups = torch.cat([torch.arange(gh, device=query.device), groups])
        return SuffixContext(tokens, position + future, fused, valid, groups)

    def forward(self, state: Tensor, context: SuffixContext) -> Tensor:
        """Embed a (B, S, N, D, 3) flow state; returns (B, S·N·G, e) tokens."""
        c = self.config
        flat = state.to(self.in_future.weight.dtype)
        flat = flat.unflatten(3, (c.num_future_tokens, -1)).flatten(4)
        x = self.in_future(flat) + context.future_offset[:, None]
        fused = None if context.fused is None else context.fused[:, None]
        x = self._fuse(x, fused)
        if context.history is not None:
            past = context.history[:, None].expand(-1, x.shape[1], -1, -1, -1)
            x = torch.cat([past, x], dim=3)
        return x.flatten(1, 3)

    def _fuse(self, x: Tensor, fused: Tensor | None) -> Tensor:
        if fused is None:
            return x
        weight = self.fuse_in.weight[:, : x.shape[-1]]
        return self.fuse_out(F.silu(F.linear(x, weight) + fused[..., None, :]))

    def _depth_features(self, z: Tensor) -> Tensor:
        low, high = self.config.depth_log_min, self.config.depth_log_max
        known = z.isfinite() & (z > 0)
        level = (torch.where(known, z, 1.0).log() - low) / (high - low)
        waves = fourier(level.clamp(0.0, 1.0)[..., None], _DEPTH_FREQS)
        return torch.cat([waves, torch.ones_like(z)[..., None]], dim=-1) * known[..., None]


def fourier(x: Tensor, num_freqs: int) -> Tensor:
    """Return (..., C·2·num_freqs): per coordinate all sin(2^k π x), then all cos(2^k π x)."""
    frequency = math.pi * 2.0 ** torch.arange(num_freqs, device=x.device, dtype=torch.float32)
    angle = x.float()[..., None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def suffix_mask(context: SuffixContext, samples: int) -> Tensor | None:
    """Return which suffix token may attend to which, (B, T, T) with T = S·N·G.

    A sample never sees another one. History is causal over its groups and blind to the future;
    future tokens see all valid tokens. None when everything may be seen.
    """
    blind = context.history is not None or context.causal
    if samples == 1 and not blind and bool(context.valid.all()):
        return None
    _, points, size = context.valid.shape
    seen = context.valid.flatten(1).repeat(1, samples)
    group = context.groups.repeat(points * samples)
    sample = torch.arange(samples, device=group.device).repeat_interleave(points * size)
    allowed = (group[None] <= group[:, None]) & (sample[None] == sample[:, None])
    return allowed & seen[:, None]


def _query_mlp(inputs: int, width: int) -> nn.Sequential:
    mlp = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))
    nn.init.zeros_(mlp[2].weight)
    nn.init.zeros_(mlp[2].bias)
    return mlp
