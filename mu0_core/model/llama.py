# SPDX-License-Identifier: Apache-2.0
"""The Llama decoder of the backbone, run once over the prefix and leaving its keys and values.

Own modules with the parameter names of Hugging Face: the stock model cannot hand out rotated
keys per layer under a bidirectional mask, nor stop before the unused output of the last layer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mu0_core.model.attention import Rotation, attend, rotate
from mu0_core.model.backbone_config import TextConfig


class KeyValue(NamedTuple):
    """Keys (after rotation) and values of one layer, each (B, P, K, c)."""

    key: Tensor
    value: Tensor


class RmsNorm(nn.Module):
    """x · rsqrt(mean x² + eps) · weight over the last axis."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` scaled to unit root mean square, times the weight."""
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class SelfAttention(nn.Module):
    """The four bias-free projections; ``key_width`` is the width that keys are made from."""

    def __init__(
        self, width: int, heads: int, kv_heads: int, head_dim: int, key_width: int | None = None
    ) -> None:
        super().__init__()
        self.head_dim = head_dim
        key_width = key_width or width
        self.q_proj = nn.Linear(width, heads * head_dim, bias=False)
        self.k_proj = nn.Linear(key_width, kv_heads * head_dim, bias=False)
        self.v_proj = nn.Linear(key_width, kv_heads * head_dim, bias=False)
        self.o_proj = nn.Linear(heads * head_dim, width, bias=False)

    def query(self, x: Tensor) -> Tensor:
        """Return (B, T, A, c) queries, not rotated."""
        return self.q_proj(x).unflatten(-1, (-1, self.head_dim))

    def key_value(self, x: Tensor) -> KeyValue:
        """Return (B, T, K, c) keys, not rotated, and values."""
        shape = (-1, self.head_dim)
        return KeyValue(self.k_proj(x).unflatten(-1, shape), self.v_proj(x).unflatten(-1, shape))


class GatedMlp(nn.Module):
    """down(SiLU(gate x) · up x), bias-free."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated layer of ``x``, same shape."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaLayer(nn.Module):
    """One pre-norm decoder layer."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = SelfAttention(
            width, config.num_heads, config.num_kv_heads, config.head_dim
        )
        self.mlp = GatedMlp(width, config.intermediate_size)
        self.input_layernorm = RmsNorm(width, eps)
        self.post_attention_layernorm = RmsNorm(width, eps)

    def keys(self, x: Tensor, table: Rotation) -> tuple[Tensor, KeyValue]:
        """Return the normed input and this layer's rotated keys and values."""
        normed = self.input_layernorm(x)
        key, value = self.self_attn.key_value(normed)
        return normed, KeyValue(rotate(key, table), value)

    def finish(
        self,
        x: Tensor,
        normed: Tensor,
        table: Rotation,
        seen: KeyValue,
        mask: Tensor | None,
        causal: bool,
    ) -> Tensor:
        """Return the layer's output for tokens that attend to ``seen``."""
        query = rotate(self.self_attn.query(normed), table)
        x = x + self.self_attn.o_proj(attend(query, *seen, mask, causal=causal))
        return x + self.mlp(self.post_attention_layernorm(x))


class LanguageModel(nn.Module):
    """Token embedding and the first ``num_layers`` decoder layers.

    The final norm is kept for its name: the world model reads keys and values, the policy the
    stream before it.
    """

    def __init__(self, config: TextConfig, num_layers: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(LlamaLayer(config) for _ in range(num_layers))
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        x: Tensor,
        table: Rotation,
        mask: Tensor | None,
        *,
        causal: bool = False,
        past: list[KeyValue] | None = None,
        with_hidden: bool = True,
    ) -> tuple[Tensor | None, list[KeyValue]]:
        """Run the layers over embeddings.

        Args:
            x: (B, T, d) embeddings.
            table: `rotation` of the T positions.
            mask: as in `attend`, over the keys of ``past`` and then of ``x``.
            causal: unmasked causal attention (only without ``past``).
            past: keys and values of earlier tokens, one per layer.
            with_hidden: False skips what only the output of the last layer needs.

        Returns:
            (B, T, d) stream before the final norm (or None) and keys and values of all tokens.
        """
        cache = []
        for index, layer in enumerate(self.layers):
            normed, seen = layer.keys(x, table)
            if past is not None:
                seen = KeyValue(
                    *(torch.cat([p, s], dim=1) for p, s in zip(past[index], seen, strict=True))
                )
            cache.append(seen)
            if with_hidden or index + 1 < len(self.layers):
                x = layer.finish(x, normed, table, seen, mask, causal)
        return (x if with_hidden else None), cache
