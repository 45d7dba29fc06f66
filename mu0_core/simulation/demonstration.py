# SPDX-License-Identifier: Apache-2.0
"""Let the scripted expert work in physics: its tip positions become servo targets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mu0_core.simulation.expert import CONTROL_PERIOD_S, MAX_ROUNDS, plan_round
from mu0_core.simulation.posture import TOOL_DOWN
from mu0_core.simulation.table_view import opening_of, tips_of
from mu0_core.simulation.tasks import targets_of
from mu0_core.simulation.world import TableWorld

_SERVO_PERIOD_S = 0.02
_REST_S = 0.2  # behind each round, before the next look


def demonstrate(
    world: TableWorld,
    task: str,
    *,
    on_look: Callable[[], None] = lambda: None,
    on_step: Callable[[np.ndarray, float], None] = lambda tip_m, opening_m: None,
) -> bool:
    """Let the expert do a task from here; return whether it found it over in `MAX_ROUNDS`.

    Args:
        world: as it stands, at rest.
        task: name; about the layout's targets.
        on_look: called at rest, before each round is planned.
        on_step: called before each control period with its command.

    Raises:
        KinematicsError: the way leads out of reach.
    """
    servo = TipServo(world)
    for _ in range(MAX_ROUNDS):
        on_look()
        planned = plan_round(world.table, task, targets_of(world.layout, task))
        if planned.over:
            return True
        for tip_m, opening_m in zip(planned.tip_m, planned.opening_m, strict=True):
            on_step(tip_m, opening_m)
            servo.move(tip_m, opening_m, CONTROL_PERIOD_S)
        world.step(_REST_S)
    return False


class TipServo:
    """Turns tip positions into servo targets, interpolated over one control period.

    Positions and openings are of the table frame. The middle between the fingers is led, where
    they stand now.
    """

    def __init__(self, world: TableWorld) -> None:
        self._world = world
        self._joints = world.proprioception().positions_rad

    def move(self, tip_m: np.ndarray, opening_m: float, period_s: float) -> None:
        """Move to a tip position (3,) over ``period_s`` and step the physics."""
        pose = np.eye(4)
        frame, gripper = self._world.table_frame, self._world.robot.gripper
        now = self._world.table.opening_m()
        pose[:3, :3], pose[:3, 3] = TOOL_DOWN, tips_of(tip_m, np.array(now), frame, gripper)
        target = self._world.kinematics.inverse(pose, self._joints)
        self._world.command_gripper(opening_of(opening_m, frame, gripper))
        steps = max(1, round(period_s / _SERVO_PERIOD_S))
        for k in range(1, steps + 1):
            self._world.command_arm(self._joints + (target - self._joints) * k / steps)
            self._world.step(period_s / steps)
        self._joints = target
