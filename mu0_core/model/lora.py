# SPDX-License-Identifier: Apache-2.0
"""Linear layers with an optional low-rank adapter, chosen per call instead of by patching.

Parameter names are those of PEFT, so that released adapters load without renaming. `adapt` puts
adapters that are always on around layers of a finished model, `merged` takes them out again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from torch import Tensor, nn

from mu0_core.errors import ConfigError


class PlainLinear(nn.Linear):
    """A linear layer that ignores ``adapted``."""

    def forward(self, x: Tensor, adapted: bool = False) -> Tensor:
        """Return the plain layer of ``x``."""
        return super().forward(x)


class LoraLinear(nn.Module):
    """y = W x + b, plus (alpha / rank) · B A x when ``adapted``; B starts at zero."""

    def __init__(self, inputs: int, outputs: int, rank: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.base_layer = nn.Linear(inputs, outputs)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(inputs, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, outputs, bias=False)})
        self.dropout = nn.Dropout(dropout)
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.lora_A["default"].weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B["default"].weight)

    def forward(self, x: Tensor, adapted: bool = False) -> Tensor:
        """Return the layer of ``x``, with its low-rank change when ``adapted``."""
        y = self.base_layer(x)
        if not adapted:
            return y
        low = self.lora_A["default"](self.dropout(x).to(self.lora_A["default"].weight.dtype))
        return y + (self.scale * self.lora_B["default"](low)).to(y.dtype)


class AdaptedLinear(LoraLinear):
    """A finished linear layer, frozen, whose adapter is always on; it starts as that layer."""

    def __init__(self, layer: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(layer.in_features, layer.out_features, rank, alpha, dropout=0.0)
        self.base_layer = layer.requires_grad_(False)

    @property
    def weight(self) -> Tensor:
        """The frozen weight."""
        return self.base_layer.weight

    @property
    def out_features(self) -> int:
        """Width of the output."""
        return self.base_layer.out_features

    def forward(self, x: Tensor, adapted: bool = True) -> Tensor:
        """Return the layer of ``x`` with its low-rank change."""
        return super().forward(x, adapted=True)


def adapt(module: nn.Module, rank: int, alpha: float) -> list[str]:
    """Put an `AdaptedLinear` in place of every linear layer below ``module``; return their names.

    Raises:
        ConfigError: ``rank`` is below 1.
    """
    if rank < 1:
        raise ConfigError(f"rank {rank} must be at least 1")
    found = [name for name, child in module.named_modules() if isinstance(child, nn.Linear)]
    for name in found:
        parent, _, last = name.rpartition(".")
        layer = module.get_submodule(name)
        setattr(module.get_submodule(parent), last, AdaptedLinear(layer, rank, alpha))
    return found


def merged(
    state: Mapping[str, Tensor], layers: Collection[str], scale: float
) -> dict[str, Tensor]:
    """Return a state dict as from before `adapt`, the changes of the adapters in the weights.

    Args:
        state: from after it.
        layers: names of the adapted layers in ``state``; other adapters stay.
        scale: alpha / rank.
    """
    result = dict(state)
    for layer in layers:
        low, high = (result.pop(f"{layer}.lora_{k}.default.weight").float() for k in "AB")
        weight = result.pop(f"{layer}.base_layer.weight")
        result[f"{layer}.weight"] = (weight.float() + scale * (high @ low)).to(weight.dtype)
        if f"{layer}.base_layer.bias" in result:
            result[f"{layer}.bias"] = result.pop(f"{layer}.base_layer.bias")
    return result
