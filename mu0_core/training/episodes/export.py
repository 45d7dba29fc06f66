# SPDX-License-Identifier: Apache-2.0
"""A checkpoint folder in the released layout, replaced as a whole or left as it was."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mu0_core.data.normalizer import Normalizer
from mu0_core.model.checkpoint import WEIGHTS, save_checkpoint
from mu0_core.model.loading import CONFIG, SIZES
from mu0_core.model.tensor_file import MANIFEST
from mu0_core.training.disk import writing
from mu0_core.training.episodes.architecture import META
from mu0_core.training.episodes.building import BuiltModel
from mu0_core.training.episodes.scales import STATS
from mu0_core.training.sharding import whole

_STAGED = ".new"


def gather(model: nn.Module, keep: bool) -> dict[str, Tensor]:
    """Return the state dict on the CPU; with sharded parameters all processes must call.

    Args:
        model: the world model.
        keep: False returns nothing, in processes that only take part.
    """
    state = {}
    for name, tensor in model.state_dict().items():
        full = whole(tensor.detach())
        if keep:
            state[name] = full.cpu()
    return state


def export(
    folder: Path,
    built: BuiltModel,
    state: Mapping[str, Tensor],
    normalizer: Normalizer,
    meta: Mapping[str, object],
    *,
    dtype: torch.dtype,
    metadata: Mapping[str, str],
    write_card: Callable[[Path], object],
) -> None:
    """Write weights, configurations, normaliser, ``meta.json`` and model card.

    Everything is written beside the old files first and then moved over them.

    Args:
        folder: of the checkpoint.
        built: the model that ``state`` is of.
        state: from `gather`.
        normalizer: that it was trained with.
        meta: of ``meta.json``.
        dtype: of the stored tensors.
        metadata: of the header of the weights.
        write_card: writes the model card into the folder that it is given.

    Raises:
        DataError: a file cannot be written, for example because the disk is full; the checkpoint
            that was there is unchanged.
        ModelIntegrityError: a tensor is not finite.
    """
    staged = folder / _STAGED
    configs = {
        CONFIG: built.model.config.to_dict(),
        SIZES: built.model.sizes.to_dict(),
        META: dict(meta),
        STATS: dataclasses.asdict(normalizer),
    }
    try:
        with writing(folder / WEIGHTS):
            tensors = built.checkpoint_tensors(state)
            save_checkpoint(staged, tensors, configs, metadata=metadata, dtype=dtype)
            write_card(staged)
            names = sorted(p.name for p in staged.iterdir())
            for name in sorted(names, key=lambda n: n == MANIFEST):  # the sums come last
                (staged / name).replace(folder / name)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
