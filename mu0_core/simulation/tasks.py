# SPDX-License-Identifier: Apache-2.0
"""The tasks of the table scene: what may be asked, in which words, and when it is achieved.

All are possible in every layout, so only the sentence tells which one is meant. Left and right are
the robot's own: left is +y of the base frame (REP 103). `TASKS` are what the shipped models learn;
`NEW_TASKS` are kept from them, so that it can be measured what a few demonstrations teach.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mu0_core.errors import SimulationError
from mu0_core.simulation import scene
from mu0_core.simulation.layout import Layout

if TYPE_CHECKING:
    from mu0_core.simulation.table_view import TableView

PUSHED_M = 0.07
_NEW = 71  # branch of a layout's seed


@dataclass(frozen=True, slots=True)
class Task:
    """A task: sentence templates over the colours of its cubes, and its success test."""

    name: str
    templates: tuple[str, ...]
    achieved: Callable[[TableView, tuple[int, ...]], bool]

    def instruction(
        self, layout: Layout, variant: int = 0, cubes: tuple[int, ...] | None = None
    ) -> str:
        """Return the sentence in one of the wordings; about ``cubes``, or the layout's targets."""
        about = targets_of(layout, self.name) if cubes is None else cubes
        words = [layout.colours[k] for k in about]
        return self.templates[variant % len(self.templates)].format(*words)


def _released_at_rest(world: TableView, cube: int) -> bool:
    tip = world.tip_position_m()
    away = np.linalg.norm(tip - world.cube_position_m(cube)) > 0.035
    return away and world.opening_m() > 0.05 and world.cube_speed_m_s(cube) < 0.03


def _in_bowl(world: TableView, cubes: tuple[int, ...]) -> bool:
    offset = world.cube_position_m(cubes[0]) - world.body_position_m("bowl")
    return (
        np.hypot(*offset[:2]) < 0.045 and offset[2] < 0.05 and _released_at_rest(world, cubes[0])
    )


def _on_plate(world: TableView, cubes: tuple[int, ...]) -> bool:
    offset = world.cube_position_m(cubes[0]) - world.body_position_m("plate")
    return (
        np.hypot(*offset[:2]) < 0.065 and offset[2] < 0.05 and _released_at_rest(world, cubes[0])
    )


def _on_box(world: TableView, cubes: tuple[int, ...]) -> bool:
    offset = world.cube_position_m(cubes[0]) - world.body_position_m("button")
    height = scene.BUTTON_TOP_M + world.layout.cube_half_m[cubes[0]]
    return (
        np.hypot(*offset[:2]) < 0.03
        and -0.008 < offset[2] - height < 0.005  # the cap gives a little
        and _released_at_rest(world, cubes[0])
    )


def _stacked(world: TableView, cubes: tuple[int, ...]) -> bool:
    top, base = (world.cube_position_m(k) for k in cubes)
    height = world.layout.cube_half_m[list(cubes)].sum()
    offset = top - base
    return (
        np.hypot(*offset[:2]) < 0.03
        and abs(offset[2] - height) < 0.008
        and _released_at_rest(world, cubes[0])
    )


def _pushed(side: int) -> Callable[[TableView, tuple[int, ...]], bool]:
    def achieved(world: TableView, cubes: tuple[int, ...]) -> bool:
        moved = np.array(
            [world.cube_position_m(k)[:2] - world.layout.cube_xy_m[k] for k in range(3)]
        )
        others = np.delete(moved, cubes[0], axis=0)
        along, across = moved[cubes[0], 1] * side, abs(moved[cubes[0], 0])
        return bool(
            along > PUSHED_M
            and across < along
            and np.max(np.linalg.norm(others, axis=1)) < 0.03
            and world.cube_position_m(cubes[0])[2] < 0.04
            and world.cube_speed_m_s(cubes[0]) < 0.03
        )

    return achieved


def _pressed(world: TableView, cubes: tuple[int, ...]) -> bool:
    return world.button_was_pressed


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "cube_in_bowl",
            (
                "put the {0} cube in the bowl",
                "place the {0} block into the bowl",
                "drop the {0} cube in the bowl",
            ),
            _in_bowl,
        ),
        Task(
            "cube_on_plate",
            (
                "put the {0} cube on the plate",
                "place the {0} block onto the plate",
                "set the {0} cube on the plate",
            ),
            _on_plate,
        ),
        Task(
            "stack_cubes",
            (
                "stack the {0} cube on the {1} cube",
                "put the {0} block on top of the {1} block",
                "place the {0} cube on the {1} cube",
            ),
            _stacked,
        ),
        Task(
            "push_left",
            (
                "push the {0} cube to the left",
                "slide the {0} block left",
                "move the {0} cube to the left",
            ),
            _pushed(1),
        ),
        Task(
            "push_right",
            (
                "push the {0} cube to the right",
                "slide the {0} block right",
                "move the {0} cube to the right",
            ),
            _pushed(-1),
        ),
        Task(
            "press_button",
            ("press the button", "push the button down", "hit the button"),
            _pressed,
        ),
    )
}

# The box is the button. It is not called so here: the shipped action expert, which reads the
# sentence too, closes its fingers at the word "button" whatever the traces say.
NEW_TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "cube_on_box",
            (
                "put the {0} cube on the box",
                "place the {0} block onto the box",
                "set the {0} cube on top of the box",
            ),
            _on_box,
        ),
    )
}


def get_task(name: str) -> Task:
    """Return a task by name, also a new one.

    Raises:
        SimulationError: unknown name; lists the known ones.
    """
    known = TASKS | NEW_TASKS
    if name not in known:
        raise SimulationError(f"unknown task {name!r}; known: {', '.join(known)}")
    return known[name]


def targets_of(layout: Layout, task: str) -> tuple[int, ...]:
    """Return the cubes that a task is about; of a new task, one that follows from the seed."""
    if task in layout.targets:
        return layout.targets[task]
    rng = np.random.default_rng([layout.seed, _NEW, list(NEW_TASKS).index(task)])
    return (int(rng.integers(3)),)
