# SPDX-License-Identifier: Apache-2.0
"""A Gemma-style transformer over a prefix and action tokens, conditioned on flow time (adaRMS).

The release conditions every token, so its prefix must be recomputed in each flow step. With
``condition_prefix=False`` the prefix tokens see a zero condition instead; their keys and values
then do not depend on flow time and are computed once (`encode_prefix`).

Key names follow the released checkpoint (μ0 paper, action expert; π0.5 head).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mu0_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Sizes of the stack; the defaults are the release's Gemma-300M."""

    width: int = 1024
    num_layers: int = 18
    mlp_width: int = 4096
    num_heads: int = 8
    num_kv_heads: int = 1
    head_dim: int = 256
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
    condition_prefix: bool = True

    def __post_init__(self) -> None:
        if self.num_heads % self.num_kv_heads or self.head_dim % 2:
            raise ConfigError(
                f"{self.num_heads} heads, {self.num_kv_heads} key/value heads, head_dim "
                f"{self.head_dim}: heads must be a multiple, head_dim even"
            )


class AdaRmsNorm(nn.Module):
    """RMS normalisation whose scale, shift and gate come from a condition (B, width)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.dense = nn.Linear(width, 3 * width)
        nn.init.zeros_(self.dense.weight)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return the modulated x (B, T, width) and the gate (B, 1, width)."""
        scale, shift, gate = self.dense(condition).unsqueeze(1).chunk(3, dim=-1)
        normal = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return normal * (1 + scale) + shift, gate


class _Attention(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        heads, kv = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.width, heads, bias=False)
        self.k_proj = nn.Linear(config.width, kv, bias=False)
        self.v_proj = nn.Linear(config.width, kv, bias=False)
        self.o_proj = nn.Linear(heads, config.width, bias=False)

    def project(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        """Return rotated queries and keys and the values, each (B, heads, T, head_dim)."""
        batch, tokens, _ = x.shape
        shape = (batch, tokens, -1, self.config.head_dim)
        q, k, v = (
            p(x).view(shape).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj)
        )
        return rotate(q, rotation), rotate(k, rotation), v

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """Attend q over k, v where mask (B, 1, Tq, Tk) is true."""
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.o_proj(out.transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.mlp_width, bias=False)
        self.up_proj = nn.Linear(config.width, config.mlp_width, bias=False)
        self.down_proj = nn.Linear(config.mlp_width, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = functional.gelu(self.gate_proj(x), approximate="tanh")
        return self.down_proj(gate * self.up_proj(x))


class _Layer(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.self_attn = _Attention(config)
        self.mlp = _Mlp(config)
        self.input_layernorm = AdaRmsNorm(config.width, config.rms_norm_eps)
        self.post_attention_layernorm = AdaRmsNorm(config.width, config.rms_norm_eps)

    def forward(
        self, x: Tensor, condition: Tensor, rotation: Rotation, mask: Tensor, past: KeyValue | None
    ) -> tuple[Tensor, KeyValue]:
        normal, gate = self.input_layernorm(x, condition)
        q, k, v = self.self_attn.project(normal, rotation)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        x = x + gate * self.self_attn(q, k, v, mask)
        normal, gate = self.post_attention_layernorm(x, condition)
        return x + gate * self.mlp(normal), (k, v)


KeyValue = tuple[Tensor, Tensor]
Rotation = tuple[Tensor, Tensor]


class _Stack(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_layers))
        self.norm = AdaRmsNorm(config.width, config.rms_norm_eps)


class AdaRmsTransformer(nn.Module):
    """The stack. Prefix tokens see the valid prefix; action tokens see that and each other."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Stack(config)

    def forward(
        self, prefix: Tensor, prefix_valid: Tensor, actions: Tensor, condition: Tensor
    ) -> Tensor:
        """Return the last hidden states (B, T, width) of the action tokens.

        Args:
            prefix: (B, P, width); prefix_valid: (B, P) bool.
            actions: (B, T, width); condition: (B, width) from flow time.
        """
        if not self.config.condition_prefix:
            return self.decode(
                self.encode_prefix(prefix, prefix_valid), prefix_valid, actions, condition
            )
        batch, p, t = prefix.shape[0], prefix.shape[1], actions.shape[1]
        valid = torch.cat([prefix_valid, prefix_valid.new_ones(batch, t)], dim=1)
        positions = valid.long().cumsum(1) - 1
        causal = torch.ones(p + t, p + t, dtype=torch.bool, device=prefix.device)
        causal[:p, p:] = False
        mask = causal & valid[:, None, None, :] & valid[:, None, :, None]
        mask |= torch.eye(p + t, dtype=torch.bool, device=prefix.device)  # no empty rows
        x = torch.cat([prefix, actions], dim=1)
        rotation = rotary(positions, self.config)
        for layer in self.model.layers:
            x, _ = layer(x, condition, rotation, mask, None)
        return self.model.norm(x, condition)[0][:, p:]

    def encode_prefix(self, prefix: Tensor, prefix_valid: Tensor) -> list[KeyValue]:
        """Return each layer's keys and values of the unconditioned prefix."""
        zero = prefix.new_zeros(prefix.shape[0], self.config.width)
        positions = prefix_valid.long().cumsum(1) - 1
        mask = prefix_valid[:, None, None, :] & prefix_valid[:, None, :, None]
        mask = mask | torch.eye(prefix.shape[1], dtype=torch.bool, device=prefix.device)
        rotation = rotary(positions, self.config)
        cache, x = [], prefix
        for layer in self.model.layers:
            x, keys_values = layer(x, zero, rotation, mask, None)
            cache.append(keys_values)
        return cache

    def decode(
        self, cache: list[KeyValue], prefix_valid: Tensor, actions: Tensor, condition: Tensor
    ) -> Tensor:
        """Return the last hidden states (B, T, width) of action tokens over a cached prefix."""
        batch, t = actions.shape[:2]
        start = prefix_valid.sum(1, keepdim=True)
        positions = start + torch.arange(t, device=actions.device)
        valid = torch.cat([prefix_valid, prefix_valid.new_ones(batch, t)], dim=1)
        mask = valid[:, None, None, :].expand(-1, -1, t, -1)
        rotation = rotary(positions, self.config)
        x = actions
        for layer, past in zip(self.model.layers, cache):
            x, _ = layer(x, condition, rotation, mask, past)
        return self.model.norm(x, condition)[0]


def rotary(positions: Tensor, config: TransformerConfig) -> Rotation:
    """Return cosine and sine (B, 1, T, head_dim / 2) of rotary angles in float32."""
    half = config.head_dim // 2
    exponent = torch.arange(half, device=positions.device, dtype=torch.float32) / half
    angle = positions.float()[:, None, :, None] * config.rope_theta**-exponent
    return angle.cos(), angle.sin()


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Apply the half-split rotary embedding to x (B, heads, T, head_dim)."""
    cosine, sine = rotation
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return turned.to(x.dtype)
