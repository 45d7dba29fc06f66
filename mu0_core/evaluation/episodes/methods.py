# SPDX-License-Identifier: Apache-2.0
"""What forecasts: the Protocol of a row of the table, and the baselines that need no training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mu0_core.evaluation.episodes.scenes import Scene

NO_MOTION, CONSTANT_VELOCITY = "no motion", "constant velocity"


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of one scene.

    Attributes:
        paths: (S, N, H, 3) u, v in [-1, 1], z in metres at steps 1..H.
        motion: (N, H) probability that a step belongs to the motion, of the first sample; None
            when the method does not say.
    """

    paths: np.ndarray
    motion: np.ndarray | None = None


class Method(Protocol):
    """A row of the table.

    Attributes:
        name: of the row.
        steps: H, steps that it forecasts.
        sampled: whether its samples differ.
    """

    name: str
    steps: int
    sampled: bool

    def forecast(self, scene: Scene, samples: int) -> Forecasts:
        """Forecast a scene; a method that is not sampled returns one sample."""


@dataclass(frozen=True)
class NoMotion:
    """Everything stays where it is."""

    steps: int
    name: str = NO_MOTION
    sampled: bool = False

    def forecast(self, scene: Scene, samples: int) -> Forecasts:
        """Return the query points."""
        return Forecasts(np.repeat(scene.query[None, :, None], self.steps, axis=2))


@dataclass(frozen=True)
class ConstantVelocity:
    """Each step repeats the last displacement; a point whose past is not known stays."""

    steps: int
    name: str = CONSTANT_VELOCITY
    sampled: bool = False

    def forecast(self, scene: Scene, samples: int) -> Forecasts:
        """Return straight lines."""
        velocity = np.where(scene.known_back[:, None], -scene.step_back, 0)
        count = np.arange(1, self.steps + 1)[:, None]
        return Forecasts((scene.query[:, None] + count * velocity[:, None])[None])
