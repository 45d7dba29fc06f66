# SPDX-License-Identifier: Apache-2.0
"""DINOv2 through transformers, in its two roles: point features, and a whole vision tower.

transformers renamed the attention parameters of DINOv2 after the checkpoints were written;
`stored_name` gives the name on disk for whatever release is installed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model

from mu0_core.errors import ConfigError
from mu0_core.model.backbone_config import VisionConfig
from mu0_core.model.images import imagenet_normalise

_RENAMED = (
    (".attention.q_proj.", ".attention.attention.query."),
    (".attention.k_proj.", ".attention.attention.key."),
    (".attention.v_proj.", ".attention.attention.value."),
    (".attention.o_proj.", ".attention.output.dense."),
)


def stored_name(name: str) -> str:
    """Return the checkpoint name of a parameter of the installed ``Dinov2Model``."""
    for installed, stored in _RENAMED:
        name = name.replace(installed, stored)
    return name


def build_dinov2(vision: VisionConfig, num_layers: int | None = None) -> Dinov2Model:
    """Return a DINOv2 of these sizes, cut to ``num_layers`` when given."""
    if vision.intermediate_size % vision.hidden_size:
        raise ConfigError(
            f"DINOv2: MLP width {vision.intermediate_size} must be a multiple of the width "
            f"{vision.hidden_size}"
        )
    model = Dinov2Model(
        Dinov2Config(
            hidden_size=vision.hidden_size,
            num_hidden_layers=num_layers or vision.num_layers,
            num_attention_heads=vision.num_heads,
            image_size=vision.image_size,
            mlp_ratio=vision.intermediate_size // vision.hidden_size,
            patch_size=vision.patch_size,
            layer_norm_eps=vision.layer_norm_eps,
            attn_implementation="sdpa",
        )
    )
    return model.eval()


def last_patch_map(model: Dinov2Model, images: Tensor, prefix_tokens: int) -> Tensor:
    """Return the (B, C, h, w) map of final patch features of ImageNet-normalised images."""
    pixels = images.to(model.embeddings.cls_token.dtype)
    tokens = model(pixel_values=pixels).last_hidden_state
    return _to_map(tokens[:, prefix_tokens:], images.shape, model.config.patch_size)


class Dinov2Tower(nn.Module):
    """Patch features for image tokens: chosen hidden states, standardised and concatenated.

    The encoder is cut at the deepest chosen layer and its final norm is not applied.
    ``forward`` takes (B, 3, I, I) in [-1, 1] and returns (B, C·len(layers), I/P, I/P).
    The buffers ``feature_mean`` and ``feature_std`` are stored; they start as identity.
    """

    def __init__(self, vision: VisionConfig, layers: tuple[int, ...]) -> None:
        super().__init__()
        if not all(0 < layer <= vision.num_layers for layer in layers):
            raise ConfigError(
                f"vision_feature_layers={layers}: expected indices in 1..{vision.num_layers}"
            )
        self.layers = layers
        self.tower = build_dinov2(vision, max(layers))
        self.register_buffer("feature_mean", torch.zeros(vision.hidden_size * len(layers)))
        self.register_buffer("feature_std", torch.ones(vision.hidden_size * len(layers)))

    def forward(self, images: Tensor) -> Tensor:
        """Return the map of patch features of images in [-1, 1]."""
        dtype = self.feature_mean.dtype
        pixels = imagenet_normalise((images + 1) / 2).to(dtype)
        states = self.tower(pixel_values=pixels, output_hidden_states=True).hidden_states
        features = torch.cat([states[layer] for layer in self.layers], dim=-1)[:, 1:]
        features = (features - self.feature_mean) / self.feature_std
        return _to_map(features, images.shape, self.tower.config.patch_size)


def _to_map(tokens: Tensor, image_shape: torch.Size, patch: int) -> Tensor:
    rows, columns = image_shape[-2] // patch, image_shape[-1] // patch
    return tokens.transpose(1, 2).unflatten(2, (rows, columns))
