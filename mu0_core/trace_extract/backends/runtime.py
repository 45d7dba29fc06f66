# SPDX-License-Identifier: Apache-2.0
"""Where a large model runs and in which precision. Shared by all adapters in this folder."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from mu0_core.errors import ConfigError

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Device and precision of a model.

    Weights stay in float32; a lower precision is used for the matrix products of a forward pass
    (autocast), so that coordinates keep their digits.

    Attributes:
        device: of torch: ``cpu``, ``cuda``, ``cuda:1``.
        dtype: one of `DTYPES`.
    """

    device: str = "cpu"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype {self.dtype!r}; allowed: {', '.join(DTYPES)}")
        kind, _, index = self.device.partition(":")
        if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
            raise ConfigError(f"device {self.device!r}; allowed: cpu, cuda, cuda:N")
        if kind == "cuda" and not torch.cuda.is_available():
            raise ConfigError(f"device {self.device!r}: torch finds no CUDA device; use cpu")

    def autocast(self) -> AbstractContextManager:
        """Return the context of a forward pass in this precision."""
        if self.dtype == "float32":
            return nullcontext()
        kind = self.device.partition(":")[0]
        return torch.autocast(kind, dtype=getattr(torch, self.dtype))

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        """Return a copy of an array on the device, floats as float32."""
        copied = torch.from_numpy(np.array(array)).to(self.device)
        return copied.float() if copied.is_floating_point() else copied


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array in main memory, floats as float32."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
