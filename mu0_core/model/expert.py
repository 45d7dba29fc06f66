# SPDX-License-Identifier: Apache-2.0
"""The trace expert: a small transformer that reads the backbone's keys and values.

Layers alternate between joint self-attention (over prefix and suffix) and cross-attention (to
the prefix alone, through projections of its keys and values), each modulated by the flow time
(adaLN-Zero). Everything that depends on the prefix only is computed once (`ExpertPrefixCache`)
and serves all Euler steps and all samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mu0_core.errors import ConfigError, ShapeError
from mu0_core.model.attention import Rotation, attend, rotate, rotation
from mu0_core.model.backbone_config import TextConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.llama import GatedMlp, KeyValue, RmsNorm, SelfAttention
from mu0_core.model.prefix import Prefix
from mu0_core.model.time_embedding import time_features


@dataclass(frozen=True)
class ExpertPrefixCache:
    """What one prefix contributes to every expert layer.

    Attributes:
        layers: per expert layer the keys and values of the prefix, (B, P + room, K, c) in
            self-attention layers, (B, P, K, c) in cross-attention layers.
        length: P.
        valid: (B, P) bool, or None when all tokens are valid.
        table: rotation of the suffix, all of whose tokens sit at the prefix's valid length.
    """

    layers: tuple[KeyValue, ...]
    length: int
    valid: Tensor | None
    table: Rotation

    def joint(self, layer: int, own: KeyValue) -> KeyValue:
        """Return keys and values of prefix and suffix; the suffix is written into the room."""
        end = self.length + own.key.shape[1]
        joined = []
        for shared, new in zip(self.layers[layer], own, strict=True):
            if shared.shape[1] == self.length:
                joined.append(torch.cat([shared.to(new.dtype), new], dim=1))
            else:
                shared[:, self.length : end] = new
                joined.append(shared[:, :end])
        return KeyValue(*joined)


class _Modulation(nn.Sequential):
    """SiLU and one zero-initialised linear layer e → 6e."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.SiLU(), nn.Linear(width, 6 * width))
        nn.init.zeros_(self[1].weight)
        nn.init.zeros_(self[1].bias)


class _TimeEmbedder(nn.Module):
    def __init__(self, config: WorldModelConfig, width: int) -> None:
        super().__init__()
        self.features = config.trace_adaln_freq_embed_size
        self.periods = config.min_period, config.max_period
        self.mlp = nn.Sequential(
            nn.Linear(self.features, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, time: Tensor) -> Tensor:
        waves = time_features(time, self.features, *self.periods)
        return self.mlp(waves.to(self.mlp[0].weight.dtype))


class ExpertLayer(nn.Module):
    """One Llama layer with adaLN-Zero; ``crosses`` makes it a cross-attention layer."""

    def __init__(self, text: TextConfig, width: int, inner: int, crosses: bool) -> None:
        super().__init__()
        self.crosses = crosses
        key_width = text.num_kv_heads * text.head_dim if crosses else width
        self.self_attn = SelfAttention(
            width, text.num_heads, text.num_kv_heads, text.head_dim, key_width
        )
        self.mlp = GatedMlp(width, inner)
        self.input_layernorm = RmsNorm(width, text.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(width, text.rms_norm_eps)
        torch_default = {"k_proj", "v_proj"} if crosses else set()
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] not in torch_default:
                nn.init.normal_(module.weight, std=text.initializer_range)

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        index: int,
        cache: ExpertPrefixCache,
        joint_mask: Tensor | None,
    ) -> Tensor:
        """Run on (B, T, e) tokens with a (B or 1, 6, e) modulation."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation.to(x.dtype).split(1, dim=1)
        normed = self.input_layernorm(x) * (1 + scale_a) + shift_a
        query = self.self_attn.query(normed)
        if self.crosses:
            mask = None if cache.valid is None else cache.valid[:, None]
            out = attend(query, *cache.layers[index], mask)
        else:
            key, value = self.self_attn.key_value(normed)
            seen = cache.joint(index, KeyValue(rotate(key, cache.table), value))
            out = attend(rotate(query, cache.table), *seen, joint_mask)
        x = x + gate_a * self.self_attn.o_proj(out)
        normed = self.post_attention_layernorm(x) * (1 + scale_m) + shift_m
        return x + gate_m * self.mlp(normed)


class TraceExpert(nn.Module):
    """The stack of expert layers, its time embedding and its final norm.

    ``checkpointing`` recomputes each layer in the backward pass instead of keeping what is inside.
    """

    checkpointing = False

    def __init__(self, config: WorldModelConfig, text: TextConfig, num_vlm_layers: int) -> None:
        super().__init__()
        count = config.num_expert_layers if config.num_expert_layers > 0 else num_vlm_layers
        if num_vlm_layers % count:
            raise ConfigError(
                f"num_expert_layers={count} must divide the {num_vlm_layers} backbone layers"
            )
        self.head_dim, self.rope_theta = text.head_dim, config.rope_theta
        self.stride = num_vlm_layers // count
        self.width = width = int(text.hidden_size * config.expert_width_multiplier)
        inner = -(-int(4 * int(2 * width / 3)) // 256) * 256
        every = config.self_attn_every_n_layers
        self.layers = nn.ModuleList(
            ExpertLayer(text, width, inner, crosses=every <= 0 or j * self.stride % every != 0)
            for j in range(count)
        )
        self.norm = RmsNorm(width, text.rms_norm_eps)
        self.time_embedder = _TimeEmbedder(config, width)
        self.modulation = nn.ModuleList(_Modulation(width) for _ in range(count))

    def modulate(self, time: Tensor) -> Tensor:
        """Return the (R, layers, 6, e) modulation at (R,) flow times."""
        condition = self.time_embedder(time)
        return torch.stack([head(condition) for head in self.modulation], dim=1).unflatten(
            2, (6, self.width)
        )

    def prepare(self, prefix: Prefix, room: int = 0) -> ExpertPrefixCache:
        """Compute what the layers need of a prefix.

        Args:
            prefix: of the backbone that this expert was trained with.
            room: suffix tokens to reserve behind the prefix, so that an Euler step writes its
                own keys without copying the prefix. 0 while gradients are recorded.

        Raises:
            ShapeError: the prefix has too few layers or another head size.
        """
        needed = (len(self.layers) - 1) * self.stride + 1
        width = self.layers[0].self_attn.k_proj.out_features
        if len(prefix.keys) < needed or prefix.keys[0][0, 0].numel() != width:
            raise ShapeError(
                f"prefix with {len(prefix.keys)} layers of {prefix.keys[0][0, 0].numel()} key "
                f"channels; the expert reads {needed} layers of {width}"
            )
        layers = []
        for index, layer in enumerate(self.layers):
            attention = layer.self_attn
            dtype = attention.q_proj.weight.dtype
            pair = [t.to(dtype) for t in prefix.layers[index * self.stride]]
            if layer.crosses:
                projections = attention.k_proj, attention.v_proj
                pair = [
                    project(t.flatten(2)).unflatten(-1, (-1, self.head_dim))
                    for project, t in zip(projections, pair, strict=True)
                ]
            elif room:
                pair = [_with_room(t, room) for t in pair]
            layers.append(KeyValue(*pair))
        position = prefix.valid.sum(dim=1, keepdim=True)
        full = bool(prefix.valid.all())
        return ExpertPrefixCache(
            tuple(layers),
            len(prefix),
            None if full else prefix.valid,
            rotation(position, self.head_dim, self.rope_theta),
        )

    def forward(
        self, x: Tensor, modulation: Tensor, cache: ExpertPrefixCache, joint_mask: Tensor | None
    ) -> Tensor:
        """Run all layers on (B, T, e) tokens; returns the stream before the final norm.

        Args:
            x: suffix tokens.
            modulation: (B or 1, layers, 6, e).
            cache: from `prepare`.
            joint_mask: from `joint_mask`.
        """
        for index, layer in enumerate(self.layers):
            inputs = (x, modulation[:, index], index, cache, joint_mask)
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, *inputs, use_reentrant=False)
            else:
                x = layer(*inputs)
        return x


def joint_mask(cache: ExpertPrefixCache, suffix: Tensor | None, tokens: int) -> Tensor | None:
    """Join prefix validity and a (B, T, T) suffix mask to (B, T, P + T); None = see everything."""
    if cache.valid is None and suffix is None:
        return None
    batch = cache.layers[0].key.shape[0]
    device = cache.layers[0].key.device
    left = torch.ones(batch, cache.length, dtype=torch.bool, device=device)
    left = left if cache.valid is None else cache.valid
    right = torch.ones(batch, tokens, tokens, dtype=torch.bool, device=device)
    right = right if suffix is None else suffix
    return torch.cat([left[:, None].expand(-1, tokens, -1), right], dim=2)


def _with_room(tensor: Tensor, room: int) -> Tensor:
    wide = tensor.new_empty(tensor.shape[0], tensor.shape[1] + room, *tensor.shape[2:])
    wide[:, : tensor.shape[1]] = tensor
    return wide
