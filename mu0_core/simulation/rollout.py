# SPDX-License-Identifier: Apache-2.0
"""Drive the arm of a `TableWorld` along tip positions: inverse kinematics and servo targets."""

from __future__ import annotations

import numpy as np

from mu0_core.simulation.posture import TOOL_DOWN
from mu0_core.simulation.world import TableWorld

SERVO_PERIOD_S = 0.02


class TipServo:
    """Turns tip positions into servo targets, interpolated over one control period."""

    def __init__(self, world: TableWorld) -> None:
        self._world = world
        self._joints = world.proprioception().positions_rad

    def resync(self) -> None:
        """Start from the measured joints."""
        self._joints = self._world.proprioception().positions_rad

    def move(self, tip_m: np.ndarray, opening_m: float, period_s: float) -> None:
        """Move to a tip position (3,) over ``period_s`` and step the physics."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = TOOL_DOWN, tip_m
        target = self._world.kinematics.inverse(pose, self._joints)
        self._world.command_gripper(opening_m)
        steps = max(1, round(period_s / SERVO_PERIOD_S))
        for k in range(1, steps + 1):
            self._world.command_arm(self._joints + (target - self._joints) * k / steps)
            self._world.step(period_s / steps)
        self._joints = target
