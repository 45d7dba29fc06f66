# SPDX-License-Identifier: Apache-2.0
"""Tensors that several processes hold in parts (FSDP): as a whole, and back. Plain ones pass."""

from __future__ import annotations

import torch
from torch import Tensor


def whole(tensor: Tensor) -> Tensor:
    """Return the full tensor; with sharded ones all processes must call, in the same order."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


@torch.no_grad()
def fill(target: Tensor, value: Tensor) -> None:
    """Copy a full ``value``, equal in all processes, into ``target``, sharded or not.

    Raises:
        RuntimeError: the shapes differ.
    """
    if not hasattr(target, "full_tensor"):
        target.copy_(value)
        return
    if target.shape != value.shape:
        raise RuntimeError(f"shape {tuple(value.shape)}, expected {tuple(target.shape)}")
    target.copy_(like(target, value))


def like(target: Tensor, value: Tensor) -> Tensor:
    """Return a full ``value`` on the device of ``target``, sharded as that is."""
    value = value.to(target.device)
    if not hasattr(target, "full_tensor"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value, target.device_mesh, target.placements)
