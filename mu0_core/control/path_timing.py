# SPDX-License-Identifier: Apache-2.0
"""Time a joint path so that it ends at rest within velocity, acceleration and jerk limits.

The path is a cubic spline through the waypoints over a step count s. A smooth time law runs s
from 0 to the end, with a soft ramp at the end and, from rest, at the start; so positions are C2
and the last waypoint is reached at zero speed without overshoot. A motion that replaces another
begins with its position, velocity and acceleration, so C2 holds over the seam as well. If a limit
is broken, the whole motion is slowed by one factor; from rest the path stays exactly the same.
Limits are judged on the trajectory that goes out, piece by piece, not on samples of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline, CubicSpline, PPoly

from mu0_core.control.joint_motion import JointMotion, MotionBounds

_ATTEMPTS = 12
_SLACK, _SLACK_IN_MOTION = 1.0005, 1.05  # in motion the path bends further as it is slowed
_SHORTEST_PERIOD_S = 0.005
_JOINS_S = (0.2, 0.4)  # how long the piece may be that leads from a start in motion to the path

State = tuple[np.ndarray, np.ndarray, np.ndarray]  # position, velocity, acceleration (A,)


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Largest velocity, acceleration and jerk for each joint (A,)."""

    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray

    def slowing_needed(self, bounds: MotionBounds) -> float:
        """Return how many times slower a motion must be to keep the limits; <= 1: it does.

        The bounds may be those of several motions side by side (S A,).
        """
        rows = (-1, len(self.velocity))
        return float(
            max(
                np.max(bounds.velocity.reshape(rows) / self.velocity),
                np.sqrt(np.max(bounds.acceleration.reshape(rows) / self.acceleration)),
                np.cbrt(np.max(bounds.jerk.reshape(rows) / self.jerk)),
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

    path: PPoly | BSpline
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
    smoothed: bool = False,
) -> tuple[TimedPath, JointMotion, JointMotion | None]:
    """Time a path through waypoints (n + 1, A), the first being the commanded state.

    Args:
        waypoints: positions; the motion ends at rest in the last one.
        step_period_s: intended time between waypoints.
        ramp_s: length of the soft start and of the rest tail.
        limits: kept at every moment of the motion that is returned.
        sample_period_s: spacing of the trajectory points.
        max_stretch: give up when more slowing would be needed.
        starts: empty at rest; in motion the commanded state and, after it, those that the
            controller may have because messages take time: the limits hold for all.
        smoothed: never leave the range of neighbouring waypoints, cut corners instead; from rest.

    Returns:
        The timed path; what a controller makes of its points when it stands at the first start;
        and, for S starts, the S first pieces side by side, as a motion of S A joints. If the
        limits cannot be kept, ``stretch`` is infinite and the motion is not to be used.
    """
    steps = len(waypoints) - 1
    down_s = min(ramp_s, steps * step_period_s)
    up_s = 0.0 if starts else down_s
    stretch = 1.0
    for _ in range(_ATTEMPTS):
        tangent = starts[0][1] * step_period_s * stretch if starts else None
        path = _path(waypoints, tangent, smoothed)
        timed = TimedPath(path, steps, step_period_s, up_s, down_s, stretch)
        points = timed.points(sample_period_s)
        slower = np.inf
        for join_s in _JOINS_S if starts else (0.0,):
            tail, heads = _joined(points, starts, join_s * stretch)
            needed = limits.slowing_needed(tail.bounds())
            if heads is not None:
                needed = max(needed, limits.slowing_needed(heads.bounds()))
            if needed <= 1.0:
                return timed, tail if heads is None else _in_a_row(heads, tail), heads
            slower = min(slower, needed)
        stretch *= slower * (_SLACK_IN_MOTION if starts else _SLACK)
        if stretch > max_stretch:
            break
    return TimedPath(path, steps, step_period_s, up_s, down_s, np.inf), tail, None


def _joined(
    points: tuple[np.ndarray, ...], starts: Sequence[State], join_s: float
) -> tuple[JointMotion, JointMotion | None]:
    """Return the motion along the path, and the pieces that lead to it, side by side (S A).

    They are long, so that none has to rush.
    """
    if not starts:
        return JointMotion(*points), None
    times = points[0]
    first = int(np.searchsorted(times, min(join_s, times[-1] / 2)))
    columns = (
        np.stack([np.concatenate(begin), np.tile(column[first], len(starts))])
        for begin, column in zip(zip(*starts), points[1:])
    )
    heads = JointMotion(np.array([0.0, times[first]]), *columns)
    return JointMotion(*(column[first:] for column in points)), heads


def _in_a_row(heads: JointMotion, tail: JointMotion) -> JointMotion:
    """Return the first of the heads and the tail, which begins where and when it ends, as one."""
    names, joints = ("positions", "velocities", "accelerations"), tail.positions.shape[1]
    columns = (
        np.concatenate([getattr(heads, name)[:1, :joints], getattr(tail, name)]) for name in names
    )
    return JointMotion(np.concatenate([heads.times_s[:1], tail.times_s]), *columns)


def _path(waypoints: np.ndarray, tangent: np.ndarray | None, smoothed: bool) -> PPoly | BSpline:
    """Return a C2 curve over steps: natural spline, or with a start tangent, or smoothed."""
    if smoothed:
        return _smoothed(waypoints)
    steps = np.arange(len(waypoints))
    if tangent is None:
        return CubicSpline(steps, waypoints, bc_type="natural")
    return CubicSpline(steps, waypoints, bc_type=((1, tangent), (2, np.zeros_like(tangent))))


def _smoothed(waypoints: np.ndarray) -> BSpline:
    """Return the uniform cubic B-spline whose control points are the waypoints.

    It begins and ends in the first and the last and stays between neighbours; a corner is cut by a
    sixth of how far it bends.
    """
    before = 2 * waypoints[:1] - waypoints[1:2]
    after = 2 * waypoints[-1:] - waypoints[-2:-1]
    knots = np.arange(-3.0, len(waypoints) + 3)
    return BSpline(knots, np.concatenate([before, waypoints, after]), 3)
