# SPDX-License-Identifier: Apache-2.0
"""How episodes are evaluated; the command line is a view of it. Defaults are the μ0 paper's."""

from __future__ import annotations

from dataclasses import dataclass

from mu0_core.data.sampling import HEADLINE_OFFSETS
from mu0_core.errors import ConfigError

AXES = ("uvz", "uv", "depth", "metres")
SLOTS = ("headline", "all")


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """The protocol.

    Attributes:
        samples: S of best-of-S; the first one is the top-1.
        points: most query points of a slot, drawn from the moving ones.
        slots: "headline": the 5th, 9th and 13th usable slot of an episode, the last one of a
            shorter one (μ0 paper); "all": every usable slot.
        max_slots: at most so many slots, drawn at random, or None.
        horizons: first steps that count.
        history: show the models the past of the points.
        depth: show depth images to the models that read them.
        first_noise: scale of the noise that the first sample of a model is made from; 1 = paper.
        seed: of points, sentences, noise and resampling.
        resamples: of the episodes, for the intervals.
    """

    samples: int = 5
    points: int = 16
    slots: str = "headline"
    max_slots: int | None = None
    horizons: tuple[int, ...] = (8, 16, 32)
    history: bool = False
    depth: bool = False
    first_noise: float = 1.0
    seed: int = 0
    resamples: int = 2000

    def __post_init__(self) -> None:
        for name, low, high in (
            ("samples", 1, 256), ("points", 1, 256), ("seed", 0, 2**31), ("resamples", 100, 10**6),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name}={getattr(self, name)}: expected {low}..{high}")
        if self.slots not in SLOTS:
            raise ConfigError(f"slots={self.slots!r}: expected one of {SLOTS}")
        if self.max_slots is not None and self.max_slots < 1:
            raise ConfigError(f"max_slots={self.max_slots}: expected at least 1")
        steps = self.horizons
        if not steps or list(steps) != sorted(set(steps)) or not 1 <= steps[0] <= steps[-1] <= 127:
            raise ConfigError(f"horizons={steps}: expected rising numbers of steps in 1..127")
        if not 0 <= self.first_noise <= 1:
            raise ConfigError(f"first_noise={self.first_noise}: expected 0..1")

    @property
    def offsets(self) -> tuple[int, ...] | None:
        """Return which usable slots of an episode are meant, by time from 0; None = all."""
        return HEADLINE_OFFSETS if self.slots == "headline" else None

    @property
    def steps(self) -> int:
        """Return how many steps of the truth are looked at."""
        return self.horizons[-1]
