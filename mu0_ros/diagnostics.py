# SPDX-License-Identifier: Apache-2.0
"""What nodes tell about themselves on ``/diagnostics`` beside errors: times of stages, seeds."""

from __future__ import annotations

import time
from collections import deque

import numpy as np

_KEPT = 200
_FRESH_S = 0.5  # percentiles are not worth more of a fast callback's time
_KEPT_SEEDS = 16


class StageTimes:
    """Times of named stages: the last one, the median and the 95th percentile of the last 200.

    Not locked: each stage is timed by one thread, others may read.

    Args:
        facts: where ``<stage>_ms``, ``<stage>_p50_ms`` and ``<stage>_p95_ms`` are written.
    """

    def __init__(self, facts: dict[str, str]) -> None:
        self._facts = facts
        self._seconds: dict[str, deque[float]] = {}
        self._told_s: dict[str, float] = {}
        self._last_s = time.monotonic()

    def begin(self) -> None:
        """Start the first stage now."""
        self._last_s = time.monotonic()

    def lap(self, stage: str) -> None:
        """End a stage and start the next."""
        now_s = time.monotonic()
        self.add(stage, now_s - self._last_s)
        self._last_s = now_s

    def add(self, stage: str, seconds: float) -> None:
        """Note the duration of one stage."""
        kept = self._seconds.setdefault(stage, deque(maxlen=_KEPT))
        kept.append(seconds)
        now_s = time.monotonic()
        if now_s - self._told_s.get(stage, -_FRESH_S) < _FRESH_S:
            return
        self._told_s[stage] = now_s
        median, high = np.percentile(kept, [50, 95]) * 1e3
        self._facts[f"{stage}_ms"] = f"{seconds * 1e3:.2f}"
        self._facts[f"{stage}_p50_ms"] = f"{median:.2f}"
        self._facts[f"{stage}_p95_ms"] = f"{high:.2f}"


class SeedLog:
    """The seeds of the last messages, so that a recording can be replayed.

    Args:
        facts: where ``seeds`` is written, as "sequence:seed" separated by blanks.
    """

    def __init__(self, facts: dict[str, str]) -> None:
        self._facts = facts
        self._pairs: deque[str] = deque(maxlen=_KEPT_SEEDS)

    def note(self, sequence: int, seed: int) -> int:
        """Note which seed a message comes from; return it."""
        self._pairs.append(f"{sequence}:{seed}")
        self._facts["seeds"] = " ".join(self._pairs)
        return seed
