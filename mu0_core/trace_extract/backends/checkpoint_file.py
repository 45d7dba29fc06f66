# SPDX-License-Identifier: Apache-2.0
"""Weights of foreign models: a local file, or the address their authors give. Nothing is executed.

The files are PyTorch archives, which are pickles; they are read with ``weights_only``, which
refuses everything but tensors and plain containers.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from mu0_core.errors import ModelError
from mu0_core.trace_extract.backends.foreign_code import ForeignCode


def read_checkpoint(code: ForeignCode, path: str | None, address: str) -> dict[str, Any]:
    """Return the contents of a checkpoint on the CPU.

    Args:
        code: whose weights these are, for messages.
        path: local file; None = download ``address`` once into torch's cache.
        address: where the authors publish the file.

    Raises:
        ModelError: there is no such file, it cannot be fetched, or it holds more than weights.
    """
    try:
        if path is not None:
            return torch.load(Path(path).expanduser(), map_location="cpu", weights_only=True)
        return torch.hub.load_state_dict_from_url(
            address, map_location="cpu", progress=False, weights_only=True
        )
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if isinstance(error, pickle.UnpicklingError):
            reason = "it is broken, or holds objects other than weights"
        raise ModelError(
            f"{code.name}: weights {path or address} cannot be read: {reason}; fetch {address} "
            f"and give the file. Licence: {code.licence}"
        ) from error


def load_strictly(code: ForeignCode, model: torch.nn.Module, state: dict[str, Any]) -> None:
    """Load weights that must fit exactly.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape.
    """
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{code.name}: these weights are of another model: {reason}") from error
