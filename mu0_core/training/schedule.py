# SPDX-License-Identifier: Apache-2.0
"""How long a training runs and which learning rate it has when.

The budget is a number of steps or of minutes. Both give a progress in 0..1 that drives the cosine,
so a training that was interrupted anneals as if it had not been.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mu0_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Budget:
    """Either ``steps`` or ``minutes`` of training, summed over all continuations."""

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        given = [x for x in (self.steps, self.minutes) if x is not None]
        if len(given) != 1 or given[0] <= 0:
            raise ConfigError(
                f"give a positive number of steps or of minutes: steps={self.steps}, "
                f"minutes={self.minutes}"
            )

    def progress(self, step: int, elapsed_s: float) -> float:
        """Return the share of the budget that is spent, 1 at the end."""
        spent = step / self.steps if self.steps else elapsed_s / (self.minutes * 60)
        return min(1.0, spent)


@dataclass(frozen=True, slots=True)
class LearningRate:
    """Linear warm-up, then a half cosine down to ``floor``; or a constant (``cosine`` False)."""

    peak: float = 6e-4
    warmup_steps: int = 150
    floor: float = 1e-5
    cosine: bool = True

    def __post_init__(self) -> None:
        if not (self.peak > 0 and self.floor >= 0 and self.warmup_steps >= 1):
            raise ConfigError(f"learning rate needs peak > 0, floor >= 0, warm-up >= 1: {self}")

    def at(self, step: int, progress: float) -> float:
        """Return the rate of update ``step`` (0 = first) at a progress in 0..1."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        if not self.cosine:
            return self.peak * warm
        return self.peak * warm * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))) + self.floor
