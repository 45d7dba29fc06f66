# SPDX-License-Identifier: Apache-2.0
"""Which flow times a training visits.

The μ0 paper draws them over all of (0, 1]. A sampler with K Euler steps reads the velocity at
1, 1 - 1/K, … 1/K only, so the embedded profile leaves out most of what lies below 1/K.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mu0_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FlowTime:
    """Beta(exponent, 1) scaled to (least, 1]; a larger exponent draws nearer to the noise."""

    least: float
    exponent: float

    def __post_init__(self) -> None:
        if not 0 <= self.least < 1 or self.exponent <= 0:
            raise ConfigError(f"flow time needs 0 <= least < 1 and exponent > 0: {self}")

    def draw(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Return (batch,) flow times."""
        beta = torch.rand(batch, generator=generator).pow(1 / self.exponent)
        return self.least + (1 - self.least) * beta
