# SPDX-License-Identifier: Apache-2.0
"""Sizes of the frozen vision-language backbone, read from Hugging Face configurations.

Plain dataclasses, so that the model code does not depend on how a transformers release names its
attributes; `BackboneConfig.from_transformers` is the only translation.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mu0_core.errors import ConfigError
from mu0_core.model.config import read_json


@dataclass(frozen=True)
class TextConfig:
    """A Llama decoder. ``num_kv_heads`` divides ``num_heads`` (grouped-query attention)."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    rms_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        if self.num_heads % self.num_kv_heads or self.head_dim % 2:
            raise ConfigError(
                f"text model: {self.num_heads} heads, {self.num_kv_heads} key/value heads, "
                f"head_dim {self.head_dim}: heads must be a multiple, head_dim even"
            )

    @classmethod
    def from_transformers(cls, config: Any) -> TextConfig:
        """Read a ``LlamaConfig`` or a configuration with the same attributes."""
        head_dim = getattr(config, "head_dim", None)
        return cls(
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_layers=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            num_kv_heads=config.num_key_value_heads,
            head_dim=head_dim or config.hidden_size // config.num_attention_heads,
            vocab_size=config.vocab_size,
            rms_norm_eps=config.rms_norm_eps,
            initializer_range=config.initializer_range,
        )


@dataclass(frozen=True)
class VisionConfig:
    """A vision transformer, SigLIP or DINOv2; ``image_size`` is that of its position table."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    image_size: int
    patch_size: int
    layer_norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"vision tower: width {self.hidden_size} is no multiple of {self.num_heads} heads"
            )

    @classmethod
    def from_transformers(cls, config: Any) -> VisionConfig:
        """Read a SmolVLM/SigLIP vision config or a ``Dinov2Config``."""
        mlp = getattr(config, "intermediate_size", None)
        return cls(
            hidden_size=config.hidden_size,
            intermediate_size=mlp or int(config.hidden_size * config.mlp_ratio),
            num_layers=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            image_size=config.image_size,
            patch_size=config.patch_size,
            layer_norm_eps=config.layer_norm_eps,
        )


@dataclass(frozen=True)
class BackboneConfig:
    """The parts of a backbone: language model, vision tower, pixel shuffle, point features.

    Attributes:
        text: the language model.
        vision: the tower whose patches become image tokens.
        scale_factor: pixel-shuffle factor between tower and language model.
        dino: tower for point features; None when absent or shared with ``vision``.
        tie_word_embeddings: the language model has no output matrix of its own.
    """

    text: TextConfig
    vision: VisionConfig
    scale_factor: int
    dino: VisionConfig | None = None
    tie_word_embeddings: bool = False

    @classmethod
    def from_transformers(cls, vlm: Any, dino: Any = None) -> BackboneConfig:
        """Read a SmolVLM-like config (``text_config``, ``vision_config``, ``scale_factor``)."""
        return cls(
            text=TextConfig.from_transformers(vlm.text_config),
            vision=VisionConfig.from_transformers(vlm.vision_config),
            scale_factor=vlm.scale_factor,
            dino=None if dino is None else VisionConfig.from_transformers(dino),
            tie_word_embeddings=bool(getattr(vlm, "tie_word_embeddings", False)),
        )

    @classmethod
    def from_huggingface_json(
        cls, vlm_json: Path | str, dino_json: Path | str | None = None
    ) -> BackboneConfig:
        """Read Hugging Face ``config.json`` files; absent fields take the transformers defaults.

        Raises:
            ConfigError: a file is unreadable or transformers does not know its ``model_type``.
        """
        dino = None if dino_json is None else _auto_config(dino_json)
        return cls.from_transformers(_auto_config(vlm_json), dino)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BackboneConfig:
        """Read what `to_dict` wrote; raises `ConfigError` on missing or unknown fields."""
        try:
            values = dict(values)
            dino = values.pop("dino", None)
            return cls(
                text=TextConfig(**values.pop("text")),
                vision=VisionConfig(**values.pop("vision")),
                dino=None if dino is None else VisionConfig(**dino),
                **values,
            )
        except (KeyError, TypeError) as error:
            raise ConfigError(f"backbone config: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return dataclasses.asdict(self)


def _auto_config(path: Path | str) -> Any:
    from transformers import AutoConfig

    values = read_json(path)
    try:
        return AutoConfig.for_model(values.pop("model_type"), **values)
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not a transformers configuration: {error}") from error
