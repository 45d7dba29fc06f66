# SPDX-License-Identifier: Apache-2.0
"""Whole world models from and to folders, under the released names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mu0_core.errors import ConfigError
from mu0_core.model.backbone_config import BackboneConfig
from mu0_core.model.build import build_world_model
from mu0_core.model.checkpoint import load_checkpoint, save_checkpoint, without_prefixes
from mu0_core.model.config import WorldModelConfig, read_json
from mu0_core.model.layout import stored_names, stored_state_dict
from mu0_core.model.tensor_file import verify_manifest
from mu0_core.model.world_model import WorldModel

CONFIG, SIZES = "config.json", "backbone.json"
_HF_VLM, _HF_DINO = "vlm_config.json", "dino_config.json"
_LM_HEAD = "model.vlm_with_expert.vlm.lm_head.weight"


def read_sizes(folder: Path | str) -> BackboneConfig:
    """Read the backbone sizes.

    They are in our ``backbone.json``, or in Hugging Face configurations: ``vlm_config.json`` and,
    for point features, ``dino_config.json``.

    Raises:
        ConfigError: neither is there, or one is malformed.
    """
    folder = Path(folder)
    if (folder / SIZES).is_file():
        return BackboneConfig.from_dict(read_json(folder / SIZES))
    if not (folder / _HF_VLM).is_file():
        raise ConfigError(f"{folder} has neither {SIZES} nor {_HF_VLM}")
    dino = folder / _HF_DINO
    return BackboneConfig.from_huggingface_json(folder / _HF_VLM, dino if dino.is_file() else None)


def load_world_model(
    folder: Path | str,
    *,
    config: WorldModelConfig | None = None,
    sizes: BackboneConfig | None = None,
    external: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    require_manifest: bool = False,
) -> WorldModel:
    """Build and strictly fill a world model, in evaluation mode on the CPU.

    Args:
        folder: with ``config.json``, ``model.safetensors`` and what `read_sizes` reads.
        config: overrides ``config.json``; ``sizes`` overrides the stored sizes.
        external: pretrained parts that the checkpoint leaves out, by stored name.
        dtype: of all parameters.
        require_manifest: refuse a checkpoint without sha256 sums.

    Raises:
        ConfigError: a configuration is missing or wrong.
        ModelError, ModelIntegrityError: see `load_checkpoint`.
    """
    folder = Path(folder)
    if config is None:
        if (folder / CONFIG).is_file():
            verify_manifest(folder, CONFIG, required=require_manifest)
        config = WorldModelConfig.from_json(folder / CONFIG)
    sizes = sizes or read_sizes(folder)
    model = build_world_model(config, sizes).to(dtype).eval()
    tied = {_LM_HEAD} if sizes.tie_word_embeddings else ()
    load_checkpoint(
        model,
        stored_names(model),
        folder,
        external=external,
        ignored=tied,
        require_manifest=require_manifest,
    )
    return model


def save_world_model(
    model: WorldModel,
    folder: Path | str,
    *,
    frozen_prefixes: tuple[str, ...] = (),
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> Path:
    """Write a checkpoint; tensors under ``frozen_prefixes`` (stored names) are left out.

    Returns:
        the path of the weights.
    """
    return save_checkpoint(
        folder,
        trainable_state_dict(model, frozen_prefixes),
        {CONFIG: model.config.to_dict(), SIZES: model.sizes.to_dict()},
        metadata=metadata,
        dtype=dtype,
    )


def trainable_state_dict(
    model: WorldModel, frozen_prefixes: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """Return what a checkpoint stores: the state dict by stored name, less the frozen parts."""
    return without_prefixes(stored_state_dict(model), frozen_prefixes)
