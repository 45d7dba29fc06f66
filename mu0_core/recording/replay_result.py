# SPDX-License-Identifier: Apache-2.0
"""What came out of a replay: one line for each forecast and chunk, and whether they agree.

A forecast is computed from the recorded image, sentence and seed: it is the same up to the order
in which another number of threads or another processor adds. A chunk also starts from the newest
joint state that was recorded before it; the node may have had the one before, which at rest
differs by little.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FORECAST_TOLERANCE_M = 1e-4
CHUNK_TOLERANCE_RAD = 5e-3


@dataclass(frozen=True, slots=True)
class Comparison:
    """One recorded message against its replay.

    Attributes:
        stage: forecast or chunk.
        sequence: of the message.
        difference: largest absolute one, in m (forecast) or rad (chunk); None = not replayed.
        tolerance: what is allowed.
        note: why it was not replayed, or what else differs.
    """

    stage: str
    sequence: int
    difference: float | None
    tolerance: float
    note: str = ""

    @property
    def agrees(self) -> bool:
        """Say whether it was replayed and is within the tolerance."""
        return self.difference is not None and self.difference <= self.tolerance

    def line(self) -> str:
        """Return one line for people."""
        name = f"{self.stage:<8} {self.sequence:>4}"
        unit = "m" if self.stage == "forecast" else "rad"
        if self.difference is None:
            return f"{name}  not replayed: {self.note}"
        note = f" ({self.note})" if self.note else ""
        if self.difference == 0.0:
            return f"{name}  identical{note}"
        verdict = "agrees" if self.agrees else "DIFFERS"
        return f"{name}  {verdict}: {self.difference:.2g} {unit} at most{note}"


@dataclass(frozen=True, slots=True)
class Replay:
    """All comparisons of a recording."""

    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    @property
    def compared(self) -> list[Comparison]:
        """Return those that were replayed."""
        return [c for c in self.comparisons if c.difference is not None]

    @property
    def agrees(self) -> bool:
        """Say whether something was replayed and all of it agrees."""
        return bool(self.compared) and all(c.agrees for c in self.compared)

    def summary(self) -> str:
        """Return the last line for people."""
        total, done = len(self.comparisons), len(self.compared)
        same = sum(c.difference == 0.0 for c in self.compared)
        agree = sum(c.agrees for c in self.compared)
        return f"{done} of {total} replayed: {same} identical, {agree} within tolerance"

    def as_json(self) -> dict[str, Any]:
        """Return what a program reads."""
        return {
            "agrees": self.agrees,
            "notes": list(self.notes),
            "comparisons": [{**asdict(c), "agrees": c.agrees} for c in self.comparisons],
        }
