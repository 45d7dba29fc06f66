# SPDX-License-Identifier: Apache-2.0
"""How long the stages of a node's work take, for ``/diagnostics`` and benchmarks. No ROS."""

from __future__ import annotations

import time
from collections import deque

import numpy as np

_KEPT = 200


class StageTimes:
    """Times of named stages; the median and the 95th percentile of the last ones are the facts.

    Not locked: one thread times, others may read.

    Args:
        facts: where ``<stage>_ms`` is written.
    """

    def __init__(self, facts: dict[str, str]) -> None:
        self._facts = facts
        self._seconds: dict[str, deque[float]] = {}
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
        median, high = np.percentile(kept, [50, 95]) * 1e3
        self._facts[f"{stage}_ms"] = f"{seconds * 1e3:.1f} (p50 {median:.1f}, p95 {high:.1f})"
