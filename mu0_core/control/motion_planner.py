# SPDX-License-Identifier: Apache-2.0
"""From the waypoints of a chunk to a motion that keeps every limit of one arm, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mu0_core.control import chunk_checks as checks
from mu0_core.control.chunk_checks import ChunkRejected
from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.joint_motion import JointMotion
from mu0_core.control.path_timing import RateLimits, State, TimedPath, time_path
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics

_ROUNDING_RAD = 1e-9


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

    def __init__(self, robot: RobotDescription, settings: GateSettings) -> None:
        self.robot, self.settings = robot, settings
        self._kinematics = Kinematics(robot)

    def plan(
        self,
        waypoints: np.ndarray,
        step_period_s: float,
        speed_scale: float,
        starts: Sequence[State],
    ) -> tuple[TimedPath, JointMotion]:
        """Return a motion through waypoints (n + 1, A) that ends at rest in the last one.

        Where the smooth curve bulges over a joint limit, a tighter one takes its place.

        Args:
            waypoints: the first is the commanded position.
            step_period_s: intended time between them.
            speed_scale: share of the limits, in (0, 1], times that of the settings.
            starts: of a motion that replaces another, see `time_path`.

        Raises:
            ChunkRejected: the limits cannot be kept, or the motion leads out of the workspace.
        """
        s = self.settings
        scale = s.speed_scale * speed_scale
        limits = rate_limits(self.robot, s.limit_share, scale)
        for monotone in (False, True):
            timed, motion = time_path(
                waypoints,
                step_period_s,
                s.ramp_s,
                limits,
                s.sample_period_s,
                s.max_stretch / scale,
                starts,
                monotone,
            )
            if not np.isfinite(timed.stretch):
                raise ChunkRejected(
                    "LIMIT_VIOLATION", f"too fast: slowing {s.max_stretch} times would not do"
                )
            if starts or self._beyond_limits(motion) <= _ROUNDING_RAD:
                break
        self.check_places(motion)
        return timed, motion

    def check_places(self, motion: JointMotion) -> None:
        """Refuse a motion that leaves joint limits at any moment, or the workspace at its points.

        Raises:
            ChunkRejected: LIMIT_VIOLATION or WORKSPACE_VIOLATION.
        """
        beyond = self._beyond_limits(motion)
        if beyond > _ROUNDING_RAD:
            raise ChunkRejected(
                "LIMIT_VIOLATION", f"a joint would pass its limit by {beyond:.4f} rad on the way"
            )
        checks.check_workspace(motion.positions, self._kinematics)

    def is_allowed(self, motion: JointMotion) -> bool:
        """Say whether `check_places` has nothing against a motion."""
        try:
            self.check_places(motion)
        except ChunkRejected:
            return False
        return True

    def _beyond_limits(self, motion: JointMotion) -> float:
        """Return by how much a motion passes a joint limit at any moment; <= 0: it does not."""
        limits, bounds = self.robot.limits, motion.bounds()
        below, above = limits.lower_rad - bounds.lowest, bounds.highest - limits.upper_rad
        return float(np.max(np.maximum(below, above)))
