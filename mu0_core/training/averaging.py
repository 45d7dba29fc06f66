# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of parameters: what is evaluated and exported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

MAX_DECAY = 0.999


class ParameterAverage:
    """Average of named parameters; the decay grows to `MAX_DECAY`, so the start is forgotten."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._parameters = dict(parameters)
        self.values: dict[str, Tensor] = {
            name: p.detach().clone() for name, p in self._parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the parameters in after update ``step`` (1 = first)."""
        decay = min(MAX_DECAY, (1 + step) / (10 + step))
        current = [p.detach() for p in self._parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), current, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the model for the duration of a block."""
        backup = {name: p.detach().clone() for name, p in self._parameters.items()}
        try:
            self._copy(self.values)
            yield
        finally:
            self._copy(backup)

    def apply(self) -> None:
        """Put the average into the model for good."""
        self._copy(self.values)

    @torch.no_grad()
    def _copy(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(values[name])
