# SPDX-License-Identifier: Apache-2.0
"""How fast Gazebo Classic runs below the node: real-time factor, images, what a call costs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mu0_core.atomic_file import replace_file


@dataclass
class Rates:
    """Sums over steps and images; time spent in resets is left out.

    Attributes:
        step_ms, image_ms: wall time of each call.
        simulated_s, wall_s: while the world was stepped.
        late_rad: for each step, the largest distance between an arm joint and its target.
    """

    step_ms: list[float] = field(default_factory=list)
    image_ms: list[float] = field(default_factory=list)
    late_rad: list[float] = field(default_factory=list)
    simulated_s: float = 0.0
    wall_s: float = 0.0
    _last: float | None = None

    def pause(self) -> None:
        """Leave out the time until the next step."""
        self._last = None

    def stepped(self, started: float, simulated_s: float, late_rad: float) -> None:
        """Count a step that started at a monotonic time and is over now."""
        now = time.monotonic()
        if self._last is not None:
            self.wall_s += now - self._last
            self.simulated_s += simulated_s
        self._last = now
        self.step_ms.append(1000 * (now - started))
        self.late_rad.append(late_rad)

    def imaged(self, started: float) -> None:
        """Count a pair of images that was asked for at a monotonic time and is there now."""
        self.image_ms.append(1000 * (time.monotonic() - started))

    def to_json(self) -> dict[str, float]:
        """Return the figures so far; nothing before the second step."""
        if not self.wall_s or not self.image_ms:
            return {}
        return {
            "real_time_factor": round(self.simulated_s / self.wall_s, 3),
            "images_hz": round(len(self.image_ms) / self.wall_s, 2),
            "step_20ms_p50_ms": round(float(np.median(self.step_ms)), 2),
            "image_pair_p50_ms": round(float(np.median(self.image_ms)), 1),
            "image_pair_p95_ms": round(float(np.quantile(self.image_ms, 0.95)), 1),
            "servo_error_p50_rad": round(float(np.median(self.late_rad)), 5),
            "servo_error_p99_rad": round(float(np.quantile(self.late_rad, 0.99)), 4),
            "servo_error_max_rad": round(float(np.max(self.late_rad)), 4),
            "simulated_s": round(self.simulated_s, 1),
        }

    def write(self, path: Path) -> None:
        """Write the figures as JSON."""
        text = json.dumps(self.to_json(), indent=2) + "\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda temporary: temporary.write_text(text))
