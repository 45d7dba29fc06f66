# SPDX-License-Identifier: Apache-2.0
"""The frozen vision-language backbone: images and an instruction in, a `Prefix` out.

Order of the prefix: RGB tokens, depth tokens (only when a depth image is given), language
tokens. An absent depth image costs nothing; a masked one gives the same numbers as none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mu0_core.errors import ConfigError, ShapeError
from mu0_core.model.attention import rotation
from mu0_core.model.backbone_config import BackboneConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.dinov2 import Dinov2Tower
from mu0_core.model.images import prepare_images, sincos_table
from mu0_core.model.llama import LanguageModel
from mu0_core.model.prefix import Prefix
from mu0_core.model.siglip import SiglipTower


@dataclass(frozen=True)
class ImageFeatures:
    """One image after the vision tower.

    Attributes:
        tokens: (B, n, d) ready for the prefix.
        patch_map: (B, E, h, w) patch features of the tower.
    """

    tokens: Tensor
    patch_map: Tensor


class Connector(nn.Module):
    """Pixel shuffle by s, then one bias-free linear layer E·s² → d.

    Channel (dr·s + dc)·E + e of an output cell is channel e of its patch (dr, dc).
    """

    def __init__(self, vision_width: int, text_width: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.proj = nn.Linear(vision_width * scale**2, text_width, bias=False)

    def forward(self, patch_map: Tensor) -> Tensor:
        """Return the tokens (B, C, e) of a map (B, E, rows, columns) of patches."""
        s = self.scale
        cells = patch_map.unflatten(3, (-1, s)).unflatten(2, (-1, s))  # B E R dr C dc
        return self.proj(cells.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2))


class Backbone(nn.Module):
    """Vision tower, connector and language model, sized by two configurations."""

    def __init__(self, config: WorldModelConfig, sizes: BackboneConfig) -> None:
        super().__init__()
        self.config, self.sizes = config, sizes
        text, vision = sizes.text, sizes.vision
        num_layers = config.num_vlm_layers if config.num_vlm_layers > 0 else text.num_layers
        if num_layers > text.num_layers:
            raise ConfigError(
                f"num_vlm_layers={num_layers}: the language model has {text.num_layers} layers"
            )
        side = config.image_size // vision.patch_size
        if side % sizes.scale_factor:
            raise ConfigError(
                f"resize_imgs_with_padding={config.image_size}: {side} patches per side must be "
                f"a multiple of scale_factor={sizes.scale_factor}"
            )
        self.tokens_side = side // sizes.scale_factor
        self.depth_stem = None
        if config.vision_tower == "dinov2":
            if config.image_size % vision.patch_size:
                raise ConfigError(
                    f"resize_imgs_with_padding={config.image_size}: expected a multiple of "
                    f"{vision.patch_size} for a dinov2 tower"
                )
            self.vision: nn.Module = Dinov2Tower(vision, config.vision_feature_layers)
            width = vision.hidden_size * len(config.vision_feature_layers)
        else:
            self.vision = SiglipTower(config, vision)
            width, patch = vision.hidden_size, vision.patch_size
            if config.use_depth and config.depth_clone_stem:
                self.depth_stem = nn.Conv2d(3, width, patch, stride=patch)
                self.depth_stem.load_state_dict(
                    self.vision.embeddings.patch_embedding.state_dict()
                )
        self.connector = Connector(width, text.hidden_size, sizes.scale_factor)
        self.language = LanguageModel(text, num_layers)
        self.lm_head = None
        if config.legacy_unused_tensors and not sizes.tie_word_embeddings:
            self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)

    # --- embeddings ---

    def embed_images(self, images: Tensor, *, depth: bool = False) -> ImageFeatures:
        """Run the tower and the connector on (B, 3, h, w) images in [0, 1]."""
        pixels = prepare_images(images, self.config.image_size)
        if not depth:
            patch_map = self.vision(pixels)
        elif self.config.use_depth:
            patch_map = self.vision(pixels, self.depth_stem, adapted=True)
        else:
            raise ConfigError("a depth image was given, but the model has use_depth=False")
        tokens = self._scale(self.connector(patch_map))
        if self.config.image_position == "sincos2d":
            table = sincos_table(self.tokens_side, self.tokens_side, tokens.shape[-1])
            tokens = tokens + (self.config.image_position_scale * table).to(tokens)
        return ImageFeatures(tokens, patch_map)

    def embed_language(self, tokens: Tensor) -> Tensor:
        """Look (B, T) token ids up; scaled like image tokens."""
        return self._scale(self.language.embed_tokens(tokens))

    def _scale(self, x: Tensor) -> Tensor:
        if not self.config.scale_embeddings:
            return x
        return x * torch.tensor(math.sqrt(x.shape[-1]), dtype=x.dtype, device=x.device)

    # --- prefix ---

    def encode(
        self,
        embeddings: Tensor,
        valid: Tensor,
        *,
        past: Prefix | None = None,
        with_hidden: bool = True,
    ) -> Prefix:
        """Run the language model over (B, T, d) embeddings that follow ``past``.

        Raises:
            ShapeError: an observation has no valid token at all.
        """
        old = 0 if past is None else len(past)
        if past is not None:
            valid = torch.cat([past.valid, valid], dim=1)
        if not bool(valid.any(dim=1).all()):
            raise ShapeError("an observation of the batch has no valid prefix token")
        position_ids = valid.long().cumsum(dim=1) - 1
        table = rotation(position_ids[:, old:], self.sizes.text.head_dim, self.config.rope_theta)
        causal = self.config.prefix_attention == "causal"
        full = bool(valid.all())
        mask = None if full else valid[:, None]
        unmasked_causal = causal and full and past is None
        if causal and not unmasked_causal:
            mask = _causal_mask(valid, old)
        hidden, cache = self.language(
            embeddings,
            table,
            mask,
            causal=unmasked_causal,
            past=None if past is None else past.layers,
            with_hidden=with_hidden,
        )
        if past is not None and hidden is not None:
            if past.hidden is None:
                raise ShapeError("the earlier part of the prefix was encoded without its stream")
            hidden = torch.cat([past.hidden, hidden], dim=1)
        return Prefix(
            tuple(kv.key for kv in cache),
            tuple(kv.value for kv in cache),
            valid,
            position_ids,
            hidden,
        )

    def assemble(
        self, blocks: list[tuple[Tensor, Tensor | None]], pad_to: int = -1
    ) -> tuple[Tensor, Tensor]:
        """Join (embeddings, validity) blocks; validity is (B,), (B, T) or None for all valid."""
        embeddings, masks = [], []
        for block, valid in blocks:
            shape = block.shape[:2]
            if valid is None:
                valid = torch.ones(shape, dtype=torch.bool, device=block.device)
            elif valid.ndim == 1:
                valid = valid[:, None].expand(shape)
            if valid.shape != shape:
                raise ShapeError(f"validity {tuple(valid.shape)} of a block {tuple(shape)}")
            embeddings.append(block)
            masks.append(valid.bool())
        x, valid = torch.cat(embeddings, dim=1), torch.cat(masks, dim=1)
        missing = max(0, pad_to - x.shape[1])
        return F.pad(x, (0, 0, 0, missing)), F.pad(valid, (0, missing))


def _causal_mask(valid: Tensor, old: int) -> Tensor:
    """(B, T, P): valid earlier tokens, and oneself so that no row is empty."""
    total = valid.shape[1]
    row = torch.arange(old, total, device=valid.device)[:, None]
    column = torch.arange(total, device=valid.device)[None]
    return (valid[:, None] & (column <= row)) | (column == row)
