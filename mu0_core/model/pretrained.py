# SPDX-License-Identifier: Apache-2.0
"""Pretrained parts in Hugging Face layout, renamed to the names a world model expects.

What they return is the ``external`` source of `load_world_model`: a checkpoint of the embedded
profile leaves the frozen tower and language model out. Conversion of packages into these files
happens elsewhere.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from mu0_core.errors import ModelIntegrityError
from mu0_core.model.dinov2 import stored_name
from mu0_core.model.layout import PRETRAINED_LANGUAGE, PRETRAINED_TOWER
from mu0_core.model.tensor_file import TensorFile

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
