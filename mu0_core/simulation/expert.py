# SPDX-License-Identifier: Apache-2.0
"""A scripted expert that solves every task from any state, for demonstrations.

It works in rounds, as the learned loop does: look at a table at rest, plan a way, follow the
first part of it, look again. A plan depends on nothing but what is there to see (where things are,
how far the fingers are open, whether the button is lit), so a policy without memory can learn it,
and a lost cube is picked up again. Where precision matters, above a cube, a goal or the button, a
round ends, so that the next one starts from a fresh look; a stroke that touches things is one
round, because half-way through nobody sees how far it was to go. Positions are of the tip in the
base frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mu0_core.simulation import scene
from mu0_core.simulation.layout import PUSH_DISTANCE_M, Layout

CONTROL_PERIOD_S = 0.1
ROUND_STEPS = 24
MAX_ROUNDS = 12  # more than any task needs
SPEED_M_S = 0.28
ACCELERATION_M_S2 = 1.2
OPEN_M, CLOSED_M = 0.08, 0.0
TRAVEL_HEIGHT_M = 0.14
HOVER_M = 0.09  # over a cube before it is grasped
BEHIND_M = 0.05  # from the tip of the closed fingers to the cube that they are to push
PUSH_HEIGHT_M = 0.022
APPROACH_HEIGHT_M = 0.085  # of the closed fingers, before they push or press
PARKED_HEIGHT_M = 0.17
FINGER_HALF_M = 0.026  # from the tip to the side of the closed fingers

_RELEASED_M, GRIPPED_M = 0.070, 0.062
_ARRIVED_M, _ARRIVED_M_S = 0.004, 0.10
_NEAR_M = 0.05  # this near to its place the tip need not travel any more
_ACTING_M = 0.022  # nearer than that a round acts; farther it only moves sideways
_PLACING_M = {
    "cube_in_bowl": 0.03,
    "cube_on_plate": 0.03,
    "stack_cubes": _ACTING_M,
    "cube_on_box": _ACTING_M,
}
_ASIDE_M = 0.008  # a round that acts first moves sideways by more than this
_LOW_M = 0.07
_PARKED_FROM_M = 0.105
BUTTON_TOP_M = scene.BUTTON_TOP_M


class Table(Protocol):
    """What the expert sees; a `TableWorld`, or its shadow without physics."""

    layout: Layout
    button_was_pressed: bool

    def tip_position_m(self) -> np.ndarray:
        """Return the tip (3,)."""

    def opening_m(self) -> float:
        """Return the measured finger opening."""

    def cube_position_m(self, index: int) -> np.ndarray:
        """Return the centre (3,) of a cube."""

    def body_position_m(self, name: str) -> np.ndarray:
        """Return the position (3,) of a body."""


@dataclass(frozen=True, slots=True)
class Waypoint:
    """A tip position (3,), the opening while going there, and steps to wait there."""

    position_m: np.ndarray
    opening_m: float
    wait: int = 0


@dataclass(frozen=True, slots=True)
class Round:
    """Commands of one round: tip_m (ROUND_STEPS, 3) and opening_m (ROUND_STEPS,).

    ``over`` says that the task is achieved and the arm withdrawn: the commands stand still.
    """

    tip_m: np.ndarray
    opening_m: np.ndarray
    over: bool


def plan_round(table: Table, task: str, cubes: tuple[int, ...]) -> Round:
    """Return what the expert does next, from a table at rest."""
    if task == "press_button":
        way = _press(table)
    elif task in ("push_left", "push_right"):
        way = _push(table, cubes[0], 1 if task == "push_left" else -1)
    else:
        way = _pick_and_place(table, task, cubes)
    tip, opening = _follow(way, table.tip_position_m(), _wanted_opening(table.opening_m()))
    return Round(tip, opening, not way)


def _wanted_opening(measured_m: float) -> float:
    return OPEN_M if measured_m > _RELEASED_M else CLOSED_M


def _follow(
    way: list[Waypoint], start_m: np.ndarray, opening_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return ROUND_STEPS commands along a way, under the speed and acceleration limits."""
    position, velocity = start_m.astype(float).copy(), np.zeros(3)
    tip, opening = np.empty((ROUND_STEPS, 3)), np.empty(ROUND_STEPS)
    index = waited = 0
    for step in range(ROUND_STEPS):
        if index < len(way):
            opening_m = way[index].opening_m
            position, velocity = _advance(position, velocity, way[index].position_m)
            near = np.linalg.norm(way[index].position_m - position) < _ARRIVED_M
            if near and np.linalg.norm(velocity) < _ARRIVED_M_S:
                waited += 1
                if waited > way[index].wait:
                    index, waited = index + 1, 0
        else:
            velocity = np.zeros(3)
        tip[step], opening[step] = position, opening_m
    return tip, opening


def _advance(
    position: np.ndarray, velocity: np.ndarray, goal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    offset = goal - position
    distance = float(np.linalg.norm(offset))
    stopping_speed = np.sqrt(2 * ACCELERATION_M_S2 * 0.7 * distance)
    speed = min(SPEED_M_S, stopping_speed, distance / CONTROL_PERIOD_S)
    change = offset / max(distance, 1e-9) * speed - velocity
    largest = ACCELERATION_M_S2 * CONTROL_PERIOD_S
    velocity = velocity + change * min(1.0, largest / max(float(np.linalg.norm(change)), 1e-9))
    return position + velocity * CONTROL_PERIOD_S, velocity


def _across(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.hypot(*(a - b)[:2]))


def _at(position: np.ndarray, height_m: float) -> np.ndarray:
    return np.array([position[0], position[1], height_m])


# -- pick and place ------------------------------------------------------------------------------


def place_position_m(table: Table, task: str, cubes: tuple[int, ...]) -> np.ndarray:
    """Return where the centre of the cube is let go."""
    half = table.layout.cube_half_m[cubes[0]]
    if task == "cube_in_bowl":
        return table.body_position_m("bowl") + (0, 0, 0.05)
    if task == "cube_on_plate":
        height = half + scene.PLATE_HALF_HEIGHT_M + 0.004
        return table.body_position_m("plate") + (0, 0, height)
    if task == "cube_on_box":
        return table.body_position_m("button") + (0, 0, half + scene.BUTTON_TOP_M + 0.003)
    height = half + table.layout.cube_half_m[cubes[1]] + 0.003
    return table.cube_position_m(cubes[1]) + (0, 0, height)


def holds(table: Table, cube: int) -> bool:
    """Say whether the fingers are closed on a cube."""
    offset = table.cube_position_m(cube) - table.tip_position_m()
    between = np.hypot(*offset[:2]) < 0.022 and abs(offset[2]) < 0.025
    return bool(between and table.opening_m() < GRIPPED_M)


def _pick_and_place(table: Table, task: str, cubes: tuple[int, ...]) -> list[Waypoint]:
    tip, cube = table.tip_position_m(), table.cube_position_m(cubes[0])
    place = place_position_m(table, task, cubes)
    above_place = _at(place, max(TRAVEL_HEIGHT_M, place[2] + HOVER_M))
    if holds(table, cubes[0]):
        grip = tip - cube  # the cube, not the tip, goes to its place
        if _across(cube, place) < _NEAR_M and cube[2] > place[2] - 0.01:
            aside = [Waypoint(_at(place + grip, tip[2]), CLOSED_M)]
            if _across(cube, place) > _PLACING_M[task]:
                return aside
            return [
                *(aside if _across(cube, place) > _ASIDE_M else []),
                Waypoint(place + grip, CLOSED_M),
                Waypoint(place + grip, OPEN_M, wait=3),
                Waypoint(_at(place + grip, above_place[2]), OPEN_M),
            ]
        way = (
            []
            if tip[2] > above_place[2] - 0.03
            else [Waypoint(_at(tip, above_place[2]), CLOSED_M)]
        )
        return [*way, Waypoint(above_place + (*grip[:2], 0), CLOSED_M)]
    if _placed(task, cube, place):
        clear = tip[2] > cube[2] + 0.07 or _across(tip, cube) > 0.06
        return [] if clear else [Waypoint(_at(tip, above_place[2]), OPEN_M)]
    return _pick(table, cube, above_place)


def _placed(task: str, cube: np.ndarray, place: np.ndarray) -> bool:
    """Say whether a cube that is not held lies where it should."""
    across = {"cube_in_bowl": 0.045, "cube_on_plate": 0.062}.get(task, 0.028)
    lowest = -0.06 if task == "cube_in_bowl" else -0.012
    return _across(cube, place) < across and lowest < cube[2] - place[2] < 0.012


def _pick(table: Table, cube: np.ndarray, above_place: np.ndarray) -> list[Waypoint]:
    tip, opening = table.tip_position_m(), table.opening_m()
    hover = _at(cube, cube[2] + HOVER_M)
    low = 0.03 if tip[2] < cube[2] + 0.05 else _NEAR_M
    if opening > _RELEASED_M and _across(tip, cube) < low and tip[2] < hover[2] + 0.06:
        grasp = _at(cube, max(cube[2] - 0.004, 0.016))
        aside = [Waypoint(_at(cube, max(tip[2], cube[2] + 0.06)), OPEN_M)]
        if _across(tip, cube) > _ACTING_M:
            return aside
        return [
            *(aside if _across(tip, cube) > _ASIDE_M else []),
            Waypoint(grasp, OPEN_M),
            Waypoint(grasp, CLOSED_M, wait=4),
            Waypoint(_at(grasp, above_place[2]), CLOSED_M),
            Waypoint(above_place, CLOSED_M),
        ]
    way = []
    if tip[2] < hover[2] - 0.02:
        way.append(Waypoint(_at(tip, hover[2]), OPEN_M if opening > _RELEASED_M else CLOSED_M))
    if opening <= _RELEASED_M:
        way.append(Waypoint(way[-1].position_m if way else tip, OPEN_M, wait=2))
    return [*way, Waypoint(hover, OPEN_M)]


# -- push and press ------------------------------------------------------------------------------


def _push(table: Table, index: int, side: int) -> list[Waypoint]:
    tip, cube = table.tip_position_m(), table.cube_position_m(index)
    closed = table.opening_m() < 0.02
    if closed and _across(tip, cube) < 0.05 and tip[2] > _PARKED_FROM_M:
        return []
    half = table.layout.cube_half_m[index]
    behind = cube - (0, side * (half + BEHIND_M), 0)
    if closed and _across(tip, behind) < _NEAR_M and _LOW_M < tip[2] < _PARKED_FROM_M:
        if _across(tip, behind) > _ACTING_M:
            return [Waypoint(_at(behind, APPROACH_HEIGHT_M), CLOSED_M)]
        end = cube + (0, side * (PUSH_DISTANCE_M - half - FINGER_HALF_M), 0)
        return [
            Waypoint(_at(behind, PUSH_HEIGHT_M), CLOSED_M),
            Waypoint(_at(end, PUSH_HEIGHT_M), CLOSED_M),
            Waypoint(_at(end, 0.075), CLOSED_M),
            Waypoint(_at(cube + (0, side * PUSH_DISTANCE_M, 0), PARKED_HEIGHT_M), CLOSED_M),
        ]
    return [*_rise(tip), Waypoint(_at(behind, APPROACH_HEIGHT_M), CLOSED_M, wait=1)]


def _press(table: Table) -> list[Waypoint]:
    tip, button = table.tip_position_m(), table.body_position_m("button")
    closed = table.opening_m() < 0.02
    if table.button_was_pressed:  # its lamp is lit
        clear = tip[2] > _PARKED_FROM_M or _across(tip, button) > 0.08
        return [] if clear else [Waypoint(_at(tip, PARKED_HEIGHT_M), CLOSED_M)]
    if closed and _across(tip, button) < _NEAR_M and tip[2] > _LOW_M:
        aside = [Waypoint(_at(button, APPROACH_HEIGHT_M), CLOSED_M)]
        if _across(tip, button) > _ACTING_M:
            return aside
        return [
            *(aside if _across(tip, button) > _ASIDE_M else []),
            Waypoint(_at(button, BUTTON_TOP_M - 0.022), CLOSED_M, wait=1),
            Waypoint(_at(button, PARKED_HEIGHT_M), CLOSED_M),
        ]
    return [*_rise(tip), Waypoint(_at(button, APPROACH_HEIGHT_M), CLOSED_M, wait=1)]


def _rise(tip: np.ndarray) -> list[Waypoint]:
    return [Waypoint(_at(tip, APPROACH_HEIGHT_M), CLOSED_M)] if tip[2] < _LOW_M else []
