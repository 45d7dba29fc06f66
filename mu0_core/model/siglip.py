# SPDX-License-Identifier: Apache-2.0
"""The SigLIP vision transformer in its SmolVLM form, with adapters for depth images.

One module, two explicit paths: RGB uses the base weights, depth adds the adapters and its own
patch embedding. Nothing is swapped at run time, so both paths may run concurrently.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mu0_core.model.backbone_config import VisionConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.lora import LoraLinear, PlainLinear


def position_bins(patches: int, table_side: int, dtype: torch.dtype) -> Tensor:
    """Return the row (or column) of the position table for each of ``patches`` along one side.

    Patch k lies at the fraction k / patches, which the reference rounds to the dtype of the
    image; with 36 patches on a table of 27, bfloat16 moves k = 20 and k = 28 one bin down.
    """
    fraction = torch.arange(patches, dtype=torch.float32).to(dtype) * (1.0 / patches)
    fraction = fraction.clamp(max=1.0 - 1e-6).float()
    boundaries = torch.arange(1.0 / table_side, 1.0, 1.0 / table_side)
    return torch.bucketize(fraction, boundaries, right=True)


class _Embeddings(nn.Module):
    def __init__(self, vision: VisionConfig) -> None:
        super().__init__()
        patch, width = vision.patch_size, vision.hidden_size
        self.patch_embedding = nn.Conv2d(3, width, patch, stride=patch)
        self.table_side = vision.image_size // patch
        self.position_embedding = nn.Embedding(self.table_side**2, width)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, linear) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = linear("q_proj", width, width)
        self.k_proj = linear("k_proj", width, width)
        self.v_proj = linear("v_proj", width, width)
        self.out_proj = linear("out_proj", width, width)

    def forward(self, x: Tensor, adapted: bool) -> Tensor:
        q, k, v = (
            project(x, adapted).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.out_proj(out, adapted)


class _Mlp(nn.Module):
    def __init__(self, width: int, inner: int, linear) -> None:
        super().__init__()
        self.fc1 = linear("fc1", width, inner)
        self.fc2 = linear("fc2", inner, width)

    def forward(self, x: Tensor, adapted: bool) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x, adapted), approximate="tanh"), adapted)


class _Layer(nn.Module):
    def __init__(self, vision: VisionConfig, linear) -> None:
        super().__init__()
        width, eps = vision.hidden_size, vision.layer_norm_eps
        self.self_attn = _Attention(width, vision.num_heads, linear)
        self.mlp = _Mlp(width, vision.intermediate_size, linear)
        self.layer_norm1 = nn.LayerNorm(width, eps=eps)
        self.layer_norm2 = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, adapted: bool) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x), adapted)
        return x + self.mlp(self.layer_norm2(x), adapted)


class SiglipTower(nn.Module):
    """Patch features of a square image; no class token.

    ``forward`` takes (B, 3, I, I) in [-1, 1] and returns a (B, E, I//P, I//P) map.
    """

    def __init__(self, config: WorldModelConfig, vision: VisionConfig) -> None:
        super().__init__()

        def linear(name: str, inputs: int, outputs: int) -> nn.Module:
            if config.uses_lora and name in config.depth_lora_targets:
                return LoraLinear(
                    inputs,
                    outputs,
                    config.depth_lora_rank,
                    config.depth_lora_alpha,
                    config.depth_lora_dropout,
                )
            return PlainLinear(inputs, outputs)

        self.position_dtype = getattr(torch, config.vision_position_dtype)
        self.embeddings = _Embeddings(vision)
        self.encoder = nn.ModuleDict(
            {"layers": nn.ModuleList(_Layer(vision, linear) for _ in range(vision.num_layers))}
        )
        self.post_layernorm = nn.LayerNorm(vision.hidden_size, eps=vision.layer_norm_eps)

    def forward(
        self, images: Tensor, stem: nn.Conv2d | None = None, adapted: bool = False
    ) -> Tensor:
        """Run the tower; ``stem`` replaces the patch embedding, ``adapted`` adds the adapters."""
        stem = stem or self.embeddings.patch_embedding
        patches = stem(images.to(stem.weight.dtype))
        side = patches.shape[-1]
        bins = position_bins(side, self.embeddings.table_side, self.position_dtype)
        ids = (bins[:, None] * self.embeddings.table_side + bins).flatten()
        x = patches.flatten(2).transpose(1, 2)
        x = x + self.embeddings.position_embedding(ids.to(x.device))
        for layer in self.encoder["layers"]:
            x = layer(x, adapted)
        return self.post_layernorm(x).transpose(1, 2).unflatten(2, (side, side))
