# SPDX-License-Identifier: Apache-2.0
"""From the waypoints of a chunk to a motion that keeps every limit of one arm, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mu0_core.control import chunk_checks as checks
from mu0_core.control.chunk_checks import ChunkRejected
from mu0_core.control.collision_check import CollisionChecker
from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.joint_motion import JointMotion, MotionBounds
from mu0_core.control.path_timing import RateLimits, State, TimedPath, time_path
from mu0_core.errors import ConfigError
from mu0_core.geometry.box import Box
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics

_ROUNDING_RAD, _NEARLY_RAD = 1e-9, 1e-4
_LOOK_S = 0.02


def rate_limits(robot: RobotDescription, share: float = 1.0, scale: float = 1.0) -> RateLimits:
    """Return the arm's limits times ``share``, for motions ``scale`` times as fast."""
    limits = robot.limits
    return RateLimits(
        limits.velocity_rad_s * share * scale,
        limits.acceleration_rad_s2 * share * scale**2,
        limits.jerk_rad_s3 * share * scale**3,
    )


class MotionPlanner:
    """Times paths and judges where motions lead."""

    def __init__(
        self, robot: RobotDescription, settings: GateSettings, boxes: tuple[Box, ...] = ()
    ) -> None:
        self.robot, self.settings = robot, settings
        self._kinematics = Kinematics(robot)
        body = robot.collision if settings.check_collisions else None
        if boxes and body is None:
            raise ConfigError(
                f"obstacles {[box.name for box in boxes]} need check_collisions and the part "
                f"collision in the description of {robot.name}"
            )
        self.body = CollisionChecker(self._kinematics, body, boxes) if body else None

    def plan(
        self,
        waypoints: np.ndarray,
        step_period_s: float,
        speed_scale: float,
        starts: Sequence[State],
    ) -> tuple[TimedPath, JointMotion, float]:
        """Return a motion through waypoints (n + 1, A) that ends at rest in the last one.

        Where the smooth curve bulges over a joint limit, a tighter one takes its place.

        Args:
            waypoints: the first is the commanded position.
            step_period_s: intended time between them.
            speed_scale: share of the limits, in (0, 1], times that of the settings.
            starts: of a motion that replaces another, see `time_path`.

        Returns:
            Timing, motion, and the clearance in m that it keeps (NaN: not checked).

        Raises:
            ChunkRejected: the limits cannot be kept, or the motion leads where it may not.
        """
        s = self.settings
        scale = s.speed_scale * speed_scale
        limits = rate_limits(self.robot, s.limit_share, scale)
        for smoothed in (False, True):
            timed, motion, heads = time_path(
                waypoints,
                step_period_s,
                s.ramp_s,
                limits,
                s.sample_period_s,
                s.max_stretch / scale,
                starts,
                smoothed,
            )
            if not np.isfinite(timed.stretch):
                raise ChunkRejected(
                    "LIMIT_VIOLATION", f"too fast: slowing {s.max_stretch} times would not do"
                )
            if starts or self._beyond_limits(motion) <= _ROUNDING_RAD:
                break
        clearance_m = self.check_places(motion)
        if heads is not None:
            self._check_joints(heads)
        return timed, motion, clearance_m

    def check_places(self, motion: JointMotion) -> float:
        """Refuse a motion that leads where the arm may not be; return its clearance in m.

        Joint limits and clearance hold at every moment; the box of the tip at moments 20 ms apart.

        Raises:
            ChunkRejected: LIMIT_VIOLATION, WORKSPACE_VIOLATION or COLLISION_PREDICTED.
        """
        self._check_joints(motion)
        checks.check_workspace(_places(motion), self._kinematics)
        if self.body is None:
            return float("nan")
        clearance = self.body.along(motion)
        checks.check_clearance(clearance)
        return clearance.distance_m

    def _check_joints(self, motion: JointMotion) -> None:
        beyond = self._beyond_limits(motion)
        if beyond > _ROUNDING_RAD:
            raise ChunkRejected(
                "LIMIT_VIOLATION", f"a joint would pass its limit by {beyond:.4f} rad on the way"
            )

    def is_allowed(self, motion: JointMotion) -> bool:
        """Say whether `check_places` has nothing against a motion."""
        try:
            self.check_places(motion)
        except ChunkRejected:
            return False
        return True

    def _beyond_limits(self, motion: JointMotion) -> float:
        """Return by how much a motion passes a joint limit at any moment; <= 0: it does not."""
        beyond = self._excess(motion.bounds())
        return self._excess(motion.bounds(fine=True)) if 0 < beyond < _NEARLY_RAD else beyond

    def _excess(self, bounds: MotionBounds) -> float:
        limits, rows = self.robot.limits, (-1, len(self.robot.arm_joints))
        below = limits.lower_rad - bounds.lowest.reshape(rows)
        above = bounds.highest.reshape(rows) - limits.upper_rad
        return float(np.max(np.maximum(below, above)))


def _places(motion: JointMotion) -> np.ndarray:
    """Return positions (K, A) at its points and, where they lie far apart, in between."""
    step = np.diff(motion.times_s)
    if step.max() <= 2 * _LOOK_S:
        return motion.positions
    count = int(np.ceil(motion.end_s / _LOOK_S))
    between = np.linspace(motion.times_s[0], motion.end_s, count + 1)
    return np.concatenate([motion.positions, motion.sample(between)[0]])
