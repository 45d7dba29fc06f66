# SPDX-License-Identifier: Apache-2.0
"""New tasks can be done in every layout, and nothing that is trained on knows of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mu0_core.errors import SimulationError
from mu0_core.simulation import scene
from mu0_core.simulation.demonstration import demonstrate
from mu0_core.simulation.layout import possible_targets, sample_layout
from mu0_core.simulation.shadow_table import ShadowTable, play
from mu0_core.simulation.snapshot import TASK_WEIGHTS
from mu0_core.simulation.tasks import NEW_TASKS, TASKS, get_task, targets_of
from mu0_core.simulation.world import TableWorld


@pytest.fixture(scope="module")
def world():
    world = TableWorld(width=64, height=48)
    yield world
    world.close()


def test_what_is_trained_on_has_no_new_task():
    layout = sample_layout(3)
    assert not set(NEW_TASKS) & (set(TASKS) | set(TASK_WEIGHTS) | set(layout.targets))
    assert not set(NEW_TASKS) & set(possible_targets(layout))


def test_no_sentence_of_a_new_task_is_one_of_an_old_task():
    def sentences(tasks, colours):
        texts = (text for task in tasks.values() for text in task.templates)
        return {text.format(*colours) for text in texts}

    colours = ("red", "blue")
    assert not sentences(NEW_TASKS, colours) & sentences(TASKS, colours)


def test_a_task_is_found_by_its_name_whether_new_or_old():
    for name in (*TASKS, *NEW_TASKS):
        assert get_task(name).name == name
    with pytest.raises(SimulationError, match="juggle.*stack_cubes.*cube_on_box"):
        get_task("juggle")


def test_what_a_task_is_about_follows_from_the_seed_and_can_be_set():
    found = [targets_of(sample_layout(seed), "cube_on_box") for seed in range(12)]
    assert found == [targets_of(sample_layout(seed), "cube_on_box") for seed in range(12)]
    assert set(found) == {(0,), (1,), (2,)}
    layout = sample_layout(0)
    assert targets_of(layout, "push_left") == layout.targets["push_left"]
    other = replace(layout, targets={**layout.targets, "cube_on_box": (2,)})
    assert targets_of(other, "cube_on_box") == (2,)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cube", range(3))
def test_the_script_imagines_any_cube_on_the_box_of_any_layout(seed, cube):
    table = ShadowTable(sample_layout(seed))
    _, rounds = play(table, "cube_on_box", (cube,))
    assert rounds[-1].over and table.held is None
    offset = table.cube_position_m(cube) - table.body_position_m("button")
    assert np.hypot(*offset[:2]) < 0.01
    assert offset[2] == pytest.approx(scene.BUTTON_TOP_M + table.layout.cube_half_m[cube])
    others = [k for k in range(3) if k != cube]
    np.testing.assert_array_equal(table.cubes_m[others, :2], table.layout.cube_xy_m[others])


def test_the_script_puts_it_there_in_physics_too_and_only_then_it_is_achieved(world):
    world.reset(49_002)
    assert not world.success("cube_on_box")
    assert demonstrate(world, "cube_on_box")
    world.step(0.3)
    assert world.success("cube_on_box")
    assert not any(world.success(name) for name in ("cube_in_bowl", "cube_on_plate"))


def test_a_cube_that_is_still_held_is_not_there_yet(world):
    world.reset(49_002)
    (cube,) = targets_of(world.layout, "cube_on_box")
    place = world.body_position_m("button") + (
        0, 0, scene.BUTTON_TOP_M + world.layout.cube_half_m[cube]
    )  # fmt: skip
    cubes = np.array([world.cube_position_m(k) for k in range(3)])
    cubes[cube] = place
    joints = world.proprioception().positions_rad
    world.pose(joints, 0.08, cubes, np.zeros(3))
    assert world.success("cube_on_box")  # the hand is elsewhere
    world.pose(joints, 0.04, cubes, np.zeros(3))
    assert not world.success("cube_on_box")  # its fingers are closed
    cubes[cube] = place + (0.035, 0, 0)
    world.pose(joints, 0.08, cubes, np.zeros(3))
    assert not world.success("cube_on_box")  # beside the box


def test_the_sentences_of_old_tasks_stay_the_only_ones_that_are_listed(world):
    world.reset(5)
    assert set(world.instructions()) == set(TASKS)
    assert world.instruction("push_left", 1) == world.instructions(1)["push_left"]
    colour = world.layout.colours[targets_of(world.layout, "cube_on_box")[0]]
    assert world.instruction("cube_on_box") == f"put the {colour} cube on the box"
