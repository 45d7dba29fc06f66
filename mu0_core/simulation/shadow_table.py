# SPDX-License-Identifier: Apache-2.0
"""The table without physics: what would happen if the arm did exactly what it is told.

Some thousand times faster than `TableWorld`, so that one picture can be paired with what the
expert would do for many sentences. The tip follows its command, a gripped cube moves with it, a
pushed one stays in front of the fingers, a released one drops onto what is below.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mu0_core.simulation import expert, scene
from mu0_core.simulation.layout import Layout

if TYPE_CHECKING:
    from mu0_core.simulation.world import TableWorld

_FINGER_STEP_M = 0.02  # change of the opening in one control period
_BETWEEN_M = (
    0.018,
    0.03,
    0.025,
)  # how far off a cube's centre may be that the fingers get hold of
_FINGER_WIDTH_HALF_M = 0.010
_PRESSED_M = 0.006  # the tip is so far below the top of the resting button when it gives


@dataclass(frozen=True, slots=True)
class ShadowPath:
    """What happened, K + 1 states of the table.

    Attributes:
        tip_m: (K + 1, 3); opening_m: (K + 1,).
        cubes_m: (K + 1, 3, 3) centres; yaw_rad: (K + 1, 3).
    """

    tip_m: np.ndarray
    opening_m: np.ndarray
    cubes_m: np.ndarray
    yaw_rad: np.ndarray


class ShadowTable:
    """A `Table` in which commands simply come true. Objects lie still at the layout's places."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._tip = layout.start_tip_m.copy()
        self._opening = expert.OPEN_M
        self.cubes_m = np.column_stack([layout.cube_xy_m, layout.cube_half_m])
        self.yaw_rad = layout.cube_yaw_rad.copy()
        self._held: int | None = None
        self.button_was_pressed = False

    @classmethod
    def of_world(cls, world: TableWorld) -> ShadowTable:
        """Return the shadow of a world at rest. Cubes keep their layout's yaw."""
        table, now = cls(world.layout), world.table
        table._tip, table._opening = now.tip_position_m(), now.opening_m()
        table.cubes_m = np.array([now.cube_position_m(k) for k in range(3)])
        table.button_was_pressed = now.button_was_pressed
        table._held = next((k for k in range(3) if expert.holds(now, k)), None)
        return table

    def tip_position_m(self) -> np.ndarray:
        """Return the tip (3,)."""
        return self._tip.copy()

    def opening_m(self) -> float:
        """Return the finger opening."""
        return self._opening

    def cube_position_m(self, index: int) -> np.ndarray:
        """Return the centre (3,) of a cube."""
        return self.cubes_m[index].copy()

    def body_position_m(self, name: str) -> np.ndarray:
        """Return the position (3,) of the bowl, the plate or the button."""
        layout = self.layout
        heights = {"bowl": 0.0, "plate": scene.PLATE_HALF_HEIGHT_M, "button": 0.0}
        xy = {"bowl": layout.bowl_xy_m, "plate": layout.plate_xy_m, "button": layout.button_xy_m}
        return np.array([*xy[name], heights[name]])

    @property
    def held(self) -> int | None:
        """Return the cube between the closed fingers."""
        return self._held

    def copy(self) -> ShadowTable:
        """Return an independent copy."""
        other = copy.copy(self)
        other._tip, other.cubes_m = self._tip.copy(), self.cubes_m.copy()
        other.yaw_rad = self.yaw_rad.copy()
        return other

    def place_arm(self, tip_m: np.ndarray, opening_m: float) -> None:
        """Put the tip somewhere at once; what is held comes along or is let go."""
        if self._held is not None:
            self.cubes_m[self._held] += tip_m - self._tip
            if opening_m > expert.GRIPPED_M:
                self._drop(self._held)
        self._tip, self._opening = tip_m.astype(float).copy(), opening_m

    def step(self, tip_m: np.ndarray, opening_m: float) -> None:
        """Let one control period pass."""
        moved = tip_m - self._tip
        self._tip = tip_m.astype(float).copy()
        change = np.clip(opening_m - self._opening, -_FINGER_STEP_M, _FINGER_STEP_M)
        self._opening += float(change)
        if self._held is not None:
            self.cubes_m[self._held] += moved
            width = 2 * self.layout.cube_half_m[self._held]
            if opening_m > width and self._opening > width + 0.004:
                self._drop(self._held)
            else:
                self._opening = width
        elif change < 0:
            self._grip()
        if self._opening < 0.02:
            self._push(moved)
            self._press()

    def _grip(self) -> None:
        """Close the fingers on a cube between them; it turns and slides into line."""
        for index, cube in enumerate(self.cubes_m):
            width = 2 * self.layout.cube_half_m[index]
            between = np.all(np.abs(cube - self._tip) < _BETWEEN_M)
            if between and self._opening <= width:
                self._held, self._opening = index, width
                self.cubes_m[index, 1] = self._tip[1]
                self.yaw_rad[index] = 0.0

    def _drop(self, index: int) -> None:
        cube, half = self.cubes_m[index], self.layout.cube_half_m[index]
        self._held = None
        ground = 0.0
        if np.hypot(*(cube[:2] - self.layout.bowl_xy_m)) < scene.BOWL_RADIUS_M:
            ground = 0.006
        if np.hypot(*(cube[:2] - self.layout.plate_xy_m)) < scene.PLATE_RADIUS_M:
            ground = 2 * scene.PLATE_HALF_HEIGHT_M
        if np.hypot(*(cube[:2] - self.layout.button_xy_m)) < scene.BUTTON_CAP_RADIUS_M:
            ground = scene.BUTTON_TOP_M
        for other in range(len(self.cubes_m)):
            reach = half + self.layout.cube_half_m[other]
            if other != index and np.all(np.abs(self.cubes_m[other] - cube)[:2] < 0.8 * reach):
                ground = max(ground, self.cubes_m[other, 2] + self.layout.cube_half_m[other])
        cube[2] = min(cube[2], ground + half)

    def _press(self) -> None:
        button = self.body_position_m("button")
        low = self._tip[2] < expert.BUTTON_TOP_M - _PRESSED_M
        if low and np.hypot(*(self._tip - button)[:2]) < scene.BUTTON_CAP_RADIUS_M:
            self.button_was_pressed = True

    def _push(self, moved: np.ndarray) -> None:
        """Keep cubes out of the closed fingers, along y only."""
        if abs(moved[1]) < 1e-3:
            return
        side = np.sign(moved[1])
        for index, cube in enumerate(self.cubes_m):
            half = self.layout.cube_half_m[index]
            low = self._tip[2] - 0.009 < cube[2] + half
            beside = abs(cube[0] - self._tip[0]) < half + _FINGER_WIDTH_HALF_M
            gap = (cube[1] - self._tip[1]) * side
            if low and beside and -0.01 < gap < half + expert.FINGER_HALF_M:
                cube[1] = self._tip[1] + side * (half + expert.FINGER_HALF_M)


def play(
    table: ShadowTable, task: str, cubes: tuple[int, ...], max_rounds: int = expert.MAX_ROUNDS
) -> tuple[ShadowPath, list[expert.Round]]:
    """Let the expert work on a table, which changes, until it is over or has had its rounds."""
    states = [_state(table)]
    rounds = []
    for _ in range(max_rounds):
        done = expert.plan_round(table, task, cubes)
        rounds.append(done)
        if done.over:
            break
        for tip, opening in zip(done.tip_m, done.opening_m, strict=True):
            table.step(tip, opening)
            states.append(_state(table))
    return ShadowPath(*(np.array(x) for x in zip(*states, strict=True))), rounds


def _state(table: ShadowTable) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    return (
        table.tip_position_m(), table.opening_m(), table.cubes_m.copy(), table.yaw_rad.copy()
    )  # fmt: skip
