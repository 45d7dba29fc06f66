# SPDX-License-Identifier: Apache-2.0
"""Solid boxes that stand around an arm, in its base frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.geometry import se3


@dataclass(frozen=True, slots=True)
class Box:
    """A solid box.

    Attributes:
        name: under which it is told.
        size_m: (3,) edges along its own x, y, z.
        T_base_box: (4, 4) of its centre.
    """

    name: str
    size_m: tuple[float, float, float]
    T_base_box: np.ndarray

    def __post_init__(self) -> None:
        if len(self.size_m) != 3 or not np.all(np.isfinite(self.size_m)) or min(self.size_m) <= 0:
            raise ConfigError(f"box {self.name!r} has edges {self.size_m}: three above 0 expected")
        if self.T_base_box.shape != (4, 4) or not np.isfinite(self.T_base_box).all():
            raise ConfigError(f"box {self.name!r} has no finite pose (4, 4)")
        if not self.name:
            raise ConfigError("a box needs a name")

    @classmethod
    def at(
        cls,
        name: str,
        centre_m: Sequence[float],
        size_m: Sequence[float],
        rpy_rad: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> Box:
        """Return a box at a place, by default with edges parallel to the base frame's axes."""
        centre, turn = (np.array(x, dtype=float).reshape(3) for x in (centre_m, rpy_rad))
        return cls(name, tuple(map(float, size_m)), se3.from_rpy(centre, turn))

    @property
    def half_m(self) -> np.ndarray:
        """Half of its size (3,)."""
        return np.array(self.size_m) / 2

    def padded(self, by_m: float) -> Box:
        """Return a box that reaches further on every side."""
        return replace(self, size_m=tuple(edge + 2 * by_m for edge in self.size_m))


def boxes_of(entries: Sequence[Mapping[str, Any]]) -> tuple[Box, ...]:
    """Return boxes of entries with ``name``, ``centre_m``, ``size_m`` and maybe ``rpy_rad``.

    Raises:
        ConfigError: an entry lacks a key, has others, or its numbers are wrong.
    """
    boxes = []
    for entry in entries:
        try:
            boxes.append(Box.at(**entry))
        except (TypeError, ValueError, ConfigError) as error:
            raise ConfigError(
                f"obstacle {entry!r}: {error}; expected name, centre_m and size_m (three numbers)"
            ) from error
    return tuple(boxes)
