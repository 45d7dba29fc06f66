# SPDX-License-Identifier: Apache-2.0
"""Time a joint path so that it ends at rest within velocity, acceleration and jerk limits.

The path is a cubic spline through the waypoints over a step count s. A smooth time law runs s
from 0 to the end, with a soft ramp at the end and, from rest, at the start; so positions are C2
and the last waypoint is reached at zero speed without overshoot. If a limit is broken, the whole
motion is slowed by one factor; from rest the path stays exactly the same. Limits are judged on the
trajectory that goes out, piece by piece, not on samples of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator, PPoly

from mu0_core.control.joint_motion import JointMotion, MotionBounds

_ATTEMPTS = 12
_SLACK, _SLACK_IN_MOTION = 1.0005, 1.05  # in motion the path bends further as it is slowed
_SHORTEST_PERIOD_S = 0.005
_JOIN_S = 0.2

State = tuple[np.ndarray, np.ndarray]  # position and velocity (A,)


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Largest velocity, acceleration and jerk for each joint (A,)."""

    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray

    def slowing_needed(self, bounds: MotionBounds) -> float:
        """Return how many times slower a motion must be to keep the limits; <= 1: it does."""
        return float(
            max(
                np.max(bounds.velocity / self.velocity),
                np.sqrt(np.max(bounds.acceleration / self.acceleration)),
                np.cbrt(np.max(bounds.jerk / self.jerk)),
            )
        )


@dataclass(frozen=True, slots=True)
class TimedPath:
    """A path timed to end at rest.

    Attributes:
        path: joint positions over steps s in 0..steps.
        step_period_s: nominal duration of a step.
        ramp_up_s, ramp_down_s: nominal durations of the ramps.
        stretch: factor by which time is slowed.
    """

    path: PPoly
    steps: int
    step_period_s: float
    ramp_up_s: float
    ramp_down_s: float
    stretch: float

    @property
    def nominal_s(self) -> float:
        """Duration with ramps, before slowing: each ramp costs half of its length."""
        return self.steps * self.step_period_s + (self.ramp_up_s + self.ramp_down_s) / 2

    @property
    def duration_s(self) -> float:
        """Total time, ramps and slowing included."""
        return self.nominal_s * self.stretch

    def step_at(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return s and its first two derivatives at times (K,)."""
        total, up_s, down_s = self.nominal_s, self.ramp_up_s, self.ramp_down_s
        t = np.clip(np.asarray(times_s, dtype=float) / self.stretch, 0.0, total)
        rate, rise, nominal = np.ones_like(t), np.zeros_like(t), np.zeros_like(t)
        if up_s > 0:
            x = np.clip(t / up_s, 0, 1)  # smoothstep 3x^2 - 2x^3, its integral and its derivative
            rate, rise = 3 * x**2 - 2 * x**3, 6 * x * (1 - x) / up_s
            nominal = up_s * (x**3 - x**4 / 2)
        y = np.clip((total - t) / down_s, 0, 1)
        rate = np.minimum(rate, 3 * y**2 - 2 * y**3)
        rise = rise - 6 * y * (1 - y) / down_s
        nominal = nominal + np.clip(t - up_s, 0.0, total - up_s - down_s)
        nominal = nominal + down_s * (0.5 - y**3 + y**4 / 2)
        per_second = 1 / (self.step_period_s * self.stretch)
        s = np.clip(nominal / self.step_period_s, 0.0, self.steps)
        return s, rate * per_second, rise * per_second / self.stretch

    def sample(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions, velocities and accelerations (K, A) at times (K,)."""
        s, rate, rise = (x[:, None] for x in self.step_at(times_s))
        slope = self.path(s[:, 0], 1)
        bend = self.path(s[:, 0], 2)
        return self.path(s[:, 0]), slope * rate, bend * rate**2 + slope * rise

    def times_of_steps(self, steps: np.ndarray) -> np.ndarray:
        """Return the times (K,) at which step counts (K,) are reached."""
        grid = np.linspace(0.0, self.duration_s, 4 * self.steps + 100)
        s, _, _ = self.step_at(grid)
        return np.interp(steps, s, grid)

    def points(self, sample_period_s: float) -> tuple[np.ndarray, ...]:
        """Return times (K,), positions, velocities, accelerations (K, A), the start included."""
        spacing = min(sample_period_s, self.step_period_s * self.stretch)
        count = max(4, int(np.ceil(self.duration_s / max(spacing, _SHORTEST_PERIOD_S))))
        times = np.linspace(0.0, self.duration_s, count + 1)
        positions, velocities, accelerations = self.sample(times)
        velocities[-1] = accelerations[-1] = 0.0
        return times, positions, velocities, accelerations


def time_path(
    waypoints: np.ndarray,
    step_period_s: float,
    ramp_s: float,
    limits: RateLimits,
    sample_period_s: float,
    max_stretch: float,
    starts: Sequence[State] = (),
    monotone: bool = False,
) -> tuple[TimedPath, JointMotion]:
    """Time a path through waypoints (n + 1, A), the first being the commanded state.

    Args:
        waypoints: positions; the motion ends at rest in the last one.
        step_period_s: intended time between waypoints.
        ramp_s: length of the soft start and of the rest tail.
        limits: kept at every moment of the motion that is returned.
        sample_period_s: spacing of the trajectory points.
        max_stretch: give up when more slowing would be needed.
        starts: empty at rest; in motion the commanded (position, velocity) and, after it, those
            that the controller may have because messages take time: the limits hold for all.
        monotone: never leave the range of two neighbouring waypoints; only C1, from rest only.

    Returns:
        The timed path and the motion that a controller makes of its points. If the limits cannot
        be kept, ``stretch`` is infinite and the motion is not to be used.
    """
    steps = len(waypoints) - 1
    down_s = min(ramp_s, steps * step_period_s)
    up_s = 0.0 if starts else down_s
    stretch = 1.0
    for _ in range(_ATTEMPTS):
        tangent = starts[0][1] * step_period_s * stretch if starts else None
        path = _path(waypoints, tangent, monotone)
        timed = TimedPath(path, steps, step_period_s, up_s, down_s, stretch)
        times, *columns = timed.points(sample_period_s)
        if starts:
            motions = _joined(times, columns[0], columns[1], starts, _JOIN_S * stretch)
        else:  # where the acceleration steps, cubic pieces do not swing because of it
            motions = [JointMotion(times, *columns[: 2 if monotone else 3])]
        slower = max(limits.slowing_needed(motion.bounds()) for motion in motions)
        if slower <= 1.0:
            return timed, motions[0]
        stretch *= slower * (_SLACK_IN_MOTION if starts else _SLACK)
        if stretch > max_stretch:
            break
    return TimedPath(path, steps, step_period_s, up_s, down_s, np.inf), motions[0]


def _joined(
    times: np.ndarray,
    positions: np.ndarray,
    velocities: np.ndarray,
    starts: Sequence[State],
    join_s: float,
) -> list[JointMotion]:
    """Return the motion from each start; one long piece leads to the path, so none has to rush."""
    kept = times >= min(join_s, times[-1] / 2)
    times = np.concatenate([[0.0], times[kept]])
    return [
        JointMotion(
            times,
            np.concatenate([position[None], positions[kept]]),
            np.concatenate([velocity[None], velocities[kept]]),
        )
        for position, velocity in starts
    ]


def _path(waypoints: np.ndarray, tangent: np.ndarray | None, monotone: bool) -> PPoly:
    """Return the curve over steps: natural spline, or with a start tangent, or monotone."""
    steps = np.arange(len(waypoints))
    if monotone:
        return PchipInterpolator(steps, waypoints)
    if tangent is None:
        return CubicSpline(steps, waypoints, bc_type="natural")
    return CubicSpline(steps, waypoints, bc_type=((1, tangent), (2, np.zeros_like(tangent))))
