# SPDX-License-Identifier: Apache-2.0
"""What the backbone leaves for the experts: keys and values of every layer of one observation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mu0_core.errors import ShapeError
from mu0_core.model.llama import KeyValue


@dataclass(frozen=True)
class Prefix:
    """An encoded observation: image, optional depth image, instruction.

    It may be cached, detached or stored in half precision; experts cast on use.

    Attributes:
        keys: per backbone layer (B, P, K, c), after rotation.
        values: per backbone layer (B, P, K, c).
        valid: (B, P) bool; False tokens are never attended to.
        position_ids: (B, P) int64, running count of valid tokens minus one.
        hidden: (B, P, d) last stream before the final norm, or None when it was not asked for.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    valid: Tensor
    position_ids: Tensor
    hidden: Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.valid.shape)
        if len(self.keys) != len(self.values):
            raise ShapeError(f"prefix: {len(self.keys)} key and {len(self.values)} value layers")
        for name, tensor in [("key", k) for k in self.keys] + [("value", v) for v in self.values]:
            if tensor.ndim != 4 or tuple(tensor.shape[:2]) != shape:
                raise ShapeError(
                    f"prefix {name} of shape {tuple(tensor.shape)}, expected {shape} + (K, c)"
                )

    @classmethod
    def from_key_values(cls, stored: Tensor, valid: Tensor | None = None) -> Prefix:
        """Return the prefix of (B, L, 2, P, K, c) keys and values per layer.

        ``valid`` (B, P) bool is True everywhere if None.
        """
        if valid is None:
            shape = stored.shape[0], stored.shape[3]
            valid = torch.ones(shape, dtype=torch.bool, device=stored.device)
        keys, values = (tuple(pair.unbind(1)) for pair in stored.unbind(2))
        return cls(keys, values, valid, valid.long().cumsum(1) - 1)

    def key_values(self) -> Tensor:
        """Return keys and values (B, L, 2, P, K, c), which `from_key_values` takes back."""
        pairs = zip(self.keys, self.values, strict=True)
        return torch.stack([torch.stack(pair, 1) for pair in pairs], 1)

    def __len__(self) -> int:
        """Return the number of tokens, valid or not."""
        return self.valid.shape[1]

    @property
    def batch(self) -> int:
        """Number of observations."""
        return self.valid.shape[0]

    @property
    def layers(self) -> list[KeyValue]:
        """Keys and values per layer."""
        return [KeyValue(k, v) for k, v in zip(self.keys, self.values, strict=True)]

    def map(self, function: Callable[[Tensor], Tensor]) -> Prefix:
        """Apply ``function`` to every tensor (`select`, `to`, `detach` are built on it)."""
        return Prefix(
            tuple(map(function, self.keys)),
            tuple(map(function, self.values)),
            function(self.valid),
            function(self.position_ids),
            None if self.hidden is None else function(self.hidden),
        )

    def expand(self, samples: int) -> Prefix:
        """Repeat a single observation ``samples`` times without copying anything.

        Raises:
            ShapeError: the prefix holds more than one observation.
        """
        if self.batch != 1:
            raise ShapeError(f"cannot expand a prefix of {self.batch} observations, only of 1")
        return self.map(lambda t: t.expand(samples, *t.shape[1:]))

    def select(self, index: Tensor) -> Prefix:
        """Return the observations at ``index`` (integers or mask)."""
        return self.map(lambda t: t[index])

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Prefix:
        """Move to a device and, for the floating tensors, to a dtype."""
        return self.map(lambda t: t.to(device, dtype if t.is_floating_point() else None))

    def detach(self) -> Prefix:
        """Cut the prefix from the graph."""
        return self.map(Tensor.detach)
