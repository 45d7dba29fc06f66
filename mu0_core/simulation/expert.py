# SPDX-License-Identifier: Apache-2.0
"""A scripted expert that solves every task from any state, for demonstrations.

It is a closed loop over the true state: each control step it derives the stage from where things
are (not from a clock), so it recovers by itself after it is disturbed: a lost cube is picked up
again, a closed gripper is opened first. Positions are of the tip in the base frame.
"""

from __future__ import annotations

import numpy as np

from mu0_core.simulation import scene
from mu0_core.simulation.world import TableWorld

CONTROL_PERIOD_S = 0.1
SPEED_M_S = 0.28
ACCELERATION_M_S2 = 1.2
TRAVEL_HEIGHT_M = 0.14
OPEN_M, CLOSED_M = 0.08, 0.0
_NEAR_M = 0.008
_GRASP_STEPS, _RELEASE_STEPS = 3, 3


class ScriptedExpert:
    """Gives the next tip position and gripper opening for one task of one world.

    ``done`` becomes true when the motion is over (achieved and withdrawn).
    """

    def __init__(self, world: TableWorld, task: str) -> None:
        self.world = world
        self.task = task
        self.cubes = world.layout.targets[task]
        self.command_m = world.tip_position_m()
        self._velocity = np.zeros(3)
        self.gripper_m = float(world.proprioception().gripper_m > 0.06) * OPEN_M
        self._closed_steps = 0
        self._released_steps = 0
        self._pushing = False
        self.done = False

    def resync(self) -> None:
        """Start again from the measured state, after somebody else moved the arm."""
        self.command_m = self.world.tip_position_m()
        self._velocity[:] = 0.0
        self._closed_steps = 0
        self._pushing = False

    def step(self) -> tuple[np.ndarray, float]:
        """Return the tip command (3,) m and the opening in m for the next control period."""
        goal, self.gripper_m, hold = self._stage()
        if not hold:
            self._advance(goal)
        else:
            self._velocity[:] = 0.0
        return self.command_m.copy(), self.gripper_m

    def _advance(self, goal: np.ndarray) -> None:
        """Move the command toward goal under the speed and acceleration limits."""
        offset = goal - self.command_m
        distance = float(np.linalg.norm(offset))
        stopping_speed = np.sqrt(2 * ACCELERATION_M_S2 * 0.7 * max(distance, 0.0))
        speed = min(SPEED_M_S, stopping_speed, distance / CONTROL_PERIOD_S)
        wanted = offset / max(distance, 1e-9) * speed
        change = wanted - self._velocity
        largest = ACCELERATION_M_S2 * CONTROL_PERIOD_S
        norm = float(np.linalg.norm(change))
        self._velocity += change * min(1.0, largest / max(norm, 1e-9))
        self.command_m = self.command_m + self._velocity * CONTROL_PERIOD_S

    def _stage(self) -> tuple[np.ndarray, float, bool]:
        """Return goal (3,), opening and whether to stand still."""
        if self.task == "press_button":
            return self._press()
        if self.task in ("push_left", "push_right"):
            return self._push(1 if self.task == "push_left" else -1)
        return self._pick_and_place()

    # -- pick and place --------------------------------------------------------------------------

    def _place_position_m(self) -> np.ndarray:
        world = self.world
        half = world.layout.cube_half_m[self.cubes[0]]
        if self.task == "cube_in_bowl":
            return world.body_position_m("bowl") + (0, 0, 0.05)
        if self.task == "cube_on_plate":
            return world.body_position_m("plate") + (0, 0, half + scene.PLATE_HALF_HEIGHT_M + 0.004)
        base = world.cube_position_m(self.cubes[1])
        return base + (0, 0, half + world.layout.cube_half_m[self.cubes[1]] + 0.003)

    def _pick_and_place(self) -> tuple[np.ndarray, float, bool]:
        world, tip = self.world, self.world.tip_position_m()
        cube = world.cube_position_m(self.cubes[0])
        place = self._place_position_m()
        if world.success(self.task) or self._released_steps > 0:
            return self._withdraw(place)
        opening = world.proprioception().gripper_m
        between = np.hypot(*(cube - tip)[:2]) < 0.02 and abs(cube[2] - tip[2]) < 0.025
        held = between and opening < 0.062 and self.gripper_m < 0.04
        if held:
            self._closed_steps += 1
            if self._closed_steps <= _GRASP_STEPS:
                return self.command_m, CLOSED_M, True
            return self._carry(tip + (place - cube), tip, cube, place)
        if between and opening > 0.062 and self.gripper_m < 0.04:
            return self.command_m, CLOSED_M, True  # still closing
        self._closed_steps = 0
        above = np.array([cube[0], cube[1], max(TRAVEL_HEIGHT_M, cube[2] + 0.08)])
        if opening < 0.07:  # let go and get clear first
            clear = tip[2] > cube[2] + 0.06
            return (above if clear else np.array([*tip[:2], cube[2] + 0.09])), OPEN_M, False
        aligned = np.hypot(*(cube - tip)[:2]) < _NEAR_M
        grasp = np.array([cube[0], cube[1], max(cube[2] - 0.004, 0.016)])
        if aligned or (np.hypot(*(cube - tip)[:2]) < 0.014 and tip[2] < cube[2] + 0.05):
            if np.linalg.norm(tip - grasp) < _NEAR_M:
                return self.command_m, CLOSED_M, True
            return grasp, OPEN_M, False
        low = tip[2] < cube[2] + 0.055
        if low and np.hypot(*(cube - tip)[:2]) > 0.03:
            return np.array([*tip[:2], above[2]]), OPEN_M, False
        return above, OPEN_M, False

    def _carry(
        self, goal: np.ndarray, tip: np.ndarray, cube: np.ndarray, place: np.ndarray
    ) -> tuple[np.ndarray, float, bool]:
        across = float(np.hypot(*(place - cube)[:2]))
        travel = max(TRAVEL_HEIGHT_M, place[2] + 0.05)
        if across < 0.010:
            if cube[2] - place[2] < _NEAR_M:
                self._released_steps = 1
                return self.command_m, OPEN_M, True
            return goal, CLOSED_M, False
        if cube[2] < place[2] + 0.02 and across > 0.02 and cube[2] < travel - 0.03:
            return np.array([*tip[:2], travel]), CLOSED_M, False
        return np.array([goal[0], goal[1], travel]), CLOSED_M, False

    def _withdraw(self, place: np.ndarray) -> tuple[np.ndarray, float, bool]:
        tip = self.world.tip_position_m()
        self._released_steps += 1
        if self._released_steps <= _RELEASE_STEPS:
            return self.command_m, OPEN_M, True
        goal = np.array([self.command_m[0], self.command_m[1], max(0.17, place[2] + 0.12)])
        if tip[2] > goal[2] - 0.01:
            if self.world.success(self.task):
                self.done = True
            else:
                self._released_steps = 0  # it fell off: try again
        return goal, OPEN_M, False

    # -- push and press --------------------------------------------------------------------------

    def _push(self, side: int) -> tuple[np.ndarray, float, bool]:
        world, tip = self.world, self.world.tip_position_m()
        index = self.cubes[0]
        cube, half = world.cube_position_m(index), world.layout.cube_half_m[index]
        start_y = world.layout.cube_xy_m[index][1]
        moved = (cube[1] - start_y) * side
        low = 0.022
        if moved > 0.105 or self._released_steps > 0:
            self._released_steps += 1
            goal = np.array([self.command_m[0], self.command_m[1], 0.17])
            if self._released_steps <= 2:
                return self.command_m, CLOSED_M, True
            if tip[2] > 0.16:
                self.done = True
            return goal, CLOSED_M, False
        behind_y = cube[1] - side * (half + 0.045)
        gap = (cube[1] - tip[1]) * side  # positive: the tip is behind the cube
        in_line = abs(tip[0] - cube[0]) < 0.012
        if tip[2] < 0.05 and in_line and gap > half:
            goal_y = start_y + side * (0.112 - half - 0.012)
            return np.array([cube[0], goal_y + side * 0.03, low]), CLOSED_M, False
        over = np.hypot(tip[0] - cube[0], tip[1] - behind_y) < 0.012
        if over:
            return np.array([cube[0], behind_y, low]), CLOSED_M, False
        if tip[2] < 0.09:
            return np.array([tip[0], tip[1], 0.12]), CLOSED_M, False
        return np.array([cube[0], behind_y, 0.12]), CLOSED_M, False

    def _press(self) -> tuple[np.ndarray, float, bool]:
        world, tip = self.world, self.world.tip_position_m()
        button = world.body_position_m("button")
        top = 2 * scene.BUTTON_HOUSING_M[2] + 0.024
        if world.button_was_pressed:
            self._released_steps += 1
            if tip[2] > 0.15:
                self.done = True
            return np.array([button[0], button[1], 0.17]), CLOSED_M, False
        if np.hypot(*(button - tip)[:2]) < 0.008:
            return np.array([button[0], button[1], top - 0.022]), CLOSED_M, False
        height = max(0.11, min(tip[2], 0.14))
        if tip[2] < 0.09:
            return np.array([tip[0], tip[1], 0.12]), CLOSED_M, False
        return np.array([button[0], button[1], height]), CLOSED_M, False
