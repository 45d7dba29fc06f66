# SPDX-License-Identifier: Apache-2.0
"""Linear layers with an optional low-rank adapter, chosen per call instead of by patching.

Parameter names are those of PEFT, so that released adapters load without renaming.
"""

from __future__ import annotations

import math

from torch import Tensor, nn


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
