# SPDX-License-Identifier: Apache-2.0
"""Time a joint path so that it starts and ends at rest within velocity, acceleration and jerk limits.

The path is a natural cubic spline through the waypoints over a step count s. A smooth time law runs s
from 0 to the end with soft ramps, so positions are C2 and the last waypoint is reached at zero speed.
If a limit is broken, the whole motion is slowed by one factor; the path stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

_CHECK_SAMPLES = 400


@dataclass(frozen=True, slots=True)
class TimedPath:
    """A path timed from rest to rest.

    Attributes:
        path: joint positions over steps s in 0..n.
        steps: n; step_period_s: nominal duration of a step; ramp_s: of either ramp.
        stretch: factor by which time is slowed.
    """

    path: CubicSpline
    steps: int
    step_period_s: float
    ramp_s: float
    stretch: float

    @property
    def duration_s(self) -> float:
        """Total time, ramps and slowing included."""
        return (self.steps * self.step_period_s + self.ramp_s) * self.stretch

    def step_at(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return s and ds/dt at times."""
        t = np.asarray(times_s, dtype=float) / self.stretch
        total = self.steps * self.step_period_s + self.ramp_s
        t = np.clip(t, 0.0, total)
        up, down = np.clip(t / self.ramp_s, 0, 1), np.clip((total - t) / self.ramp_s, 0, 1)
        # integral of the smoothstep ramp 3x^2 - 2x^3 is x^3 - x^4 / 2
        rising, falling = up**3 - up**4 / 2, down**3 - down**4 / 2
        cruise = np.clip(t - self.ramp_s, 0.0, total - 2 * self.ramp_s)
        seconds = self.ramp_s * (rising + 0.5 - falling) + cruise
        speed = np.minimum(3 * up**2 - 2 * up**3, 3 * down**2 - 2 * down**3)
        s = np.clip(seconds / self.step_period_s, 0.0, self.steps)
        return s, speed / (self.step_period_s * self.stretch)

    def sample(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and velocities (K, A) at times (K,)."""
        s, rate = self.step_at(times_s)
        return self.path(s), self.path(s, 1) * rate[:, None]

    def time_of_steps(self, steps: np.ndarray) -> np.ndarray:
        """Return the times at which step counts are reached."""
        grid = np.linspace(0.0, self.duration_s, _CHECK_SAMPLES)
        s, _ = self.step_at(grid)
        return np.interp(steps, s, grid)


def time_path(
    waypoints: np.ndarray,
    step_period_s: float,
    ramp_s: float,
    velocity: np.ndarray,
    acceleration: np.ndarray,
    jerk: np.ndarray,
) -> TimedPath:
    """Time a path through waypoints (n + 1, A), the first being the commanded state at rest.

    Limits (A,) are kept at every moment; see `TimedPath.stretch` for what that cost.
    """
    steps = len(waypoints) - 1
    path = CubicSpline(np.arange(steps + 1), waypoints, bc_type="natural")
    ramp_s = min(ramp_s, steps * step_period_s)
    nominal = TimedPath(path, steps, step_period_s, ramp_s, 1.0)
    grid = np.linspace(0.0, nominal.duration_s, _CHECK_SAMPLES)
    _, rate = nominal.sample(grid)
    tick = grid[1] - grid[0]
    second = np.diff(rate, axis=0) / tick
    third = np.diff(second, axis=0) / tick
    ratios = [
        np.max(np.abs(rate) / velocity),
        np.sqrt(np.max(np.abs(second) / acceleration)),
        np.cbrt(np.max(np.abs(third) / jerk)),
    ]
    return TimedPath(path, steps, step_period_s, ramp_s, float(max(1.0, *ratios)))
