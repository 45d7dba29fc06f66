# SPDX-License-Identifier: Apache-2.0
"""A filmed table on which a hand moves things, without physics: what it is told comes true.

The hand follows the rounds of the scripted expert, as `shadow_table` imagines them, and does not
wait between them. Only its looks differ from the arm's: what it shows is how the things move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.robot.description import RobotDescription
from mu0_core.simulation import scene
from mu0_core.simulation.expert import CONTROL_PERIOD_S, MAX_ROUNDS, Round, plan_round
from mu0_core.simulation.film_log import FilmLog
from mu0_core.simulation.filmed_world import FilmedWorld
from mu0_core.simulation.hand import build_hand_model, place_hand
from mu0_core.simulation.shadow_table import ShadowTable
from mu0_core.simulation.tasks import targets_of

mujoco = scene.mujoco

_PAUSE_STEPS = 2  # of the rest at the end of a round that are kept


@dataclass(frozen=True, slots=True)
class _State:
    """What is there to see: tip (3,), opening, cube centres (3, 3) and yaws (3,)."""

    tip_m: np.ndarray
    opening_m: float
    cubes_m: np.ndarray
    yaw_rad: np.ndarray

    @classmethod
    def of(cls, table: ShadowTable) -> _State:
        return cls(
            table.tip_position_m(), table.opening_m(), table.cubes_m.copy(), table.yaw_rad.copy()
        )

    def towards(self, other: _State, share: float) -> _State:
        """Return the state in between."""
        mixed = (
            (1 - share) * getattr(self, name) + share * getattr(other, name)
            for name in ("tip_m", "opening_m", "cubes_m", "yaw_rad")
        )
        return _State(*mixed)


class HandWorld(FilmedWorld):
    """A `FilmedWorld` with a hand in place of the arm."""

    def reset(self, seed: int) -> None:
        """Lay out the episode of ``seed``; the hand is where the arm's tip would be."""
        self._shadow = None
        super().reset(seed)
        self._shadow = ShadowTable.of_world(self)
        self._from = self._to = _State.of(self._shadow)
        self._since_s = self.time_s
        self._show(self._to)

    def tip_position_m(self) -> np.ndarray:
        """Return the place (3,) between thumb and fingers."""
        return super().tip_position_m() if self._shadow is None else self._shadow.tip_position_m()

    def opening_m(self) -> float:
        """Return the distance of thumb and fingers."""
        return super().opening_m() if self._shadow is None else self._shadow.opening_m()

    def demonstrate(self, task: str, log: FilmLog) -> bool:
        """Do a task from here; return whether it is over after `MAX_ROUNDS`."""
        cubes = targets_of(self.layout, task)
        for _ in range(MAX_ROUNDS):
            log.look()
            planned = plan_round(self._shadow, task, cubes)
            if planned.over:
                return True
            for k in range(_moving_steps(planned)):
                self._shadow.step(planned.tip_m[k], float(planned.opening_m[k]))
                self._from, self._to = self._to, _State.of(self._shadow)
                self._since_s = self.time_s
                self.step(CONTROL_PERIOD_S)
            self.button_was_pressed = self._shadow.button_was_pressed
        return False

    def _build(self, robot: RobotDescription, texture_seed: int | None) -> mujoco.MjModel:
        return build_hand_model(robot, texture_seed)

    def _advance(self, duration_s: float) -> None:
        """Let time pass; everything is on its way from one state to the next."""
        if self._shadow is None:  # things settle
            super()._advance(duration_s)
            return
        self._data.time += duration_s
        share = (self.time_s - self._since_s) / CONTROL_PERIOD_S
        self._show(self._from.towards(self._to, float(np.clip(share, 0.0, 1.0))))

    def _show(self, state: _State) -> None:
        for name, centre, yaw in zip(scene.CUBES, state.cubes_m, state.yaw_rad, strict=True):
            self._place(name, tuple(centre), float(yaw))
        self._data.qvel[:] = 0.0
        place_hand(self._model, self._data, state.tip_m, state.opening_m)
        mujoco.mj_forward(self._model, self._data)


def _moving_steps(planned: Round) -> int:
    """Return how many steps of a round pass until everything rests, and a short pause."""
    command = np.column_stack([planned.tip_m, planned.opening_m])
    moves = np.flatnonzero(np.abs(np.diff(command, axis=0)).max(axis=1) > 1e-4)
    return min(len(command), (int(moves[-1]) + 2 if len(moves) else 1) + _PAUSE_STEPS)
