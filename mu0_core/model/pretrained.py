# SPDX-License-Identifier: Apache-2.0
"""Pretrained parts in Hugging Face layout, renamed to the names a world model expects.

What they return is the ``external`` source of `load_world_model`: a checkpoint of the embedded
profile leaves the frozen tower and language model out; a new model of the released profile starts
from SmolVLM and DINOv2. Conversion of packages into these files happens elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from mu0_core.errors import ModelError, ModelIntegrityError
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.dinov2 import stored_name
from mu0_core.model.layout import PRETRAINED_LANGUAGE, PRETRAINED_TOWER, VLM
from mu0_core.model.tensor_file import TensorFile

_VISION = "model.vision_model."
_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def llama_tensors(path: Path | str, num_layers: int) -> dict[str, Tensor]:
    """Read a Llama ``model.safetensors``, cut to its first ``num_layers`` layers.

    Raises:
        ModelError, ModelIntegrityError: see `TensorFile`; or the file has fewer layers.
    """
    names = {n: n.removeprefix("model.") for n in TensorFile(path) if n != "lm_head.weight"}
    return _take(path, names, PRETRAINED_LANGUAGE, num_layers)


def dinov2_tensors(path: Path | str, num_layers: int) -> dict[str, Tensor]:
    """Read a ``Dinov2Model`` ``model.safetensors``, cut to its first ``num_layers`` layers.

    Raises:
        ModelError, ModelIntegrityError: see `TensorFile`; or the file has fewer layers.
    """
    names = {n: stored_name(n.removeprefix("dinov2.")) for n in TensorFile(path)}
    return _take(path, names, PRETRAINED_TOWER, num_layers)


def huggingface_tensors(
    config: WorldModelConfig, vlm: Path, dino: Path | None
) -> dict[str, Tensor]:
    """Read a SmolVLM folder and, for point features, a DINOv2 folder.

    Args:
        config: of the model, which decides the names of an adapted tower.
        vlm: folder with the safetensors of the vision-language model.
        dino: folder with those of DINOv2, or None.

    Raises:
        ModelError, ModelIntegrityError: a folder holds no safetensors, or see `TensorFile`.
    """
    found = {VLM + _adapted_name(name, config): tensor for name, tensor in _folder_tensors(vlm)}
    if dino is not None:
        for name, tensor in _folder_tensors(dino):
            found["model.dino." + stored_name(name.removeprefix("dinov2."))] = tensor
    return found


def _adapted_name(name: str, config: WorldModelConfig) -> str:
    """Return the name of a tensor of the tower when adapters lie around its linear layers."""
    if not name.startswith(_VISION) or not config.uses_lora:
        return name
    owner, _, last = name.rpartition(".")
    if owner.rpartition(".")[2] in config.depth_lora_targets:
        name = f"{owner}.base_layer.{last}"
    return f"{_VISION}base_model.model.{name.removeprefix(_VISION)}"


def _folder_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder} holds no .safetensors file")
    for path in files:
        yield from TensorFile(path).items()


def _take(
    path: Path | str, names: dict[str, str], prefix: str, num_layers: int
) -> dict[str, Tensor]:
    file = TensorFile(path)
    layer = {n: int(found[1]) for n in names if (found := _LAYER.search(n))}
    if set(range(num_layers)) - set(layer.values()):
        raise ModelIntegrityError(
            f"{path} has {len(set(layer.values()))} layers, {num_layers} are needed"
        )
    return {
        prefix + stored: file[name]
        for name, stored in names.items()
        if layer.get(name, 0) < num_layers
    }
