# SPDX-License-Identifier: Apache-2.0
"""What arm and gripper were commanded to do: a shadow of controllers with the same rules."""

from __future__ import annotations

import numpy as np

from mu0_core.control.gripper_timing import time_gripper
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.control.path_timing import State, TimedPath
from mu0_core.robot.description import RobotDescription
from mu0_core.types import JointTrajectory, Proprioception

_STILL = 1e-6


class CommandedMotion:
    """The commanded state of one arm; times are an argument, in ns on one clock.

    Attributes:
        known: joint states were seen, so that there is a commanded state.
        arm: the shadow of the arm's controller.
    """

    def __init__(self, robot: RobotDescription) -> None:
        self.known = False
        self.arm = JointTrajectoryController(robot.arm_joints)
        self._hand = robot.gripper
        self._fingers = JointTrajectoryController((robot.gripper.joint,))
        self._end_ns = 0

    def begin(self, state: Proprioception) -> None:
        """Hold what was measured; the first command starts there."""
        self.arm.set_initial(state.positions_rad)
        self._fingers.set_initial(np.array([state.gripper_m / self._hand.opening_per_joint_m]))
        self.known = True

    def forget(self) -> None:
        """Forget everything: the next joint states are the new start."""
        self.known, self._end_ns = False, 0

    def state(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return commanded positions and velocities (A,)."""
        return self.arm.sample(now_ns * 1e-9)

    def error_rad(self, measured: np.ndarray, then_ns: int) -> float:
        """Return how far the joint that is furthest off was from its command at a time."""
        return float(np.max(np.abs(self.state(then_ns)[0] - measured)))

    def arm_moves(self, now_ns: int) -> bool:
        """Say whether a trajectory of the arm is under way."""
        return self.arm.remaining_s(now_ns * 1e-9) > 0

    def remaining_s(self, now_ns: int) -> float:
        """Return the seconds of motion left, of arm or gripper."""
        return max(0.0, (self._end_ns - now_ns) * 1e-9)

    def starts(self, now_ns: int, jitter_s: float) -> tuple[State, ...]:
        """Return the states in motion that the controller may be in now; none: it is at rest."""
        around = self.arm.ahead(now_ns * 1e-9, np.array([0.0, -jitter_s, jitter_s]))
        if all(np.max(np.abs(rate)) < _STILL for rate in around[1:]):
            return ()
        return tuple(zip(*around))

    def accept_arm(self, trajectory: JointTrajectory, now_ns: int) -> None:
        """Follow a trajectory from now on."""
        self.arm.accept(trajectory, now_ns * 1e-9)
        self._end_ns = now_ns + round(float(trajectory.times_s[-1]) * 1e9)

    def accept_gripper(
        self, opening_m: np.ndarray, timed: TimedPath, now_ns: int
    ) -> JointTrajectory:
        """Move the fingers along with the arm from now on; return their trajectory."""
        here_m = float(self._fingers.sample(now_ns * 1e-9)[0][0]) * self._hand.opening_per_joint_m
        trajectory = time_gripper(opening_m, here_m, timed, self._hand)
        self._fingers.accept(trajectory, now_ns * 1e-9)
        end_ns = now_ns + round(float(trajectory.times_s[-1]) * 1e9)
        self._end_ns = max(self._end_ns, end_ns)
        return trajectory
