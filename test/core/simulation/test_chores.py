# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a table that has been worked on."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.simulation.chores import Chore, possible_chores, present_layout
from mu0_core.simulation.demonstration import demonstrate
from mu0_core.simulation.layout import possible_targets
from mu0_core.simulation.tasks import TASKS
from mu0_core.simulation.world import TableWorld


@pytest.fixture(scope="module")
def world():
    world = TableWorld(width=64, height=48)
    yield world
    world.close()


def do(world: TableWorld, chore: Chore) -> bool:
    world.layout = present_layout(world, chore)
    return demonstrate(world, chore.task) and world.success(chore.task)


@pytest.mark.parametrize("seed", [0, 3, 49_000])
def test_at_first_everything_is_possible_that_the_layout_promises(world, seed):
    world.reset(seed)
    chores = possible_chores(world)
    promised = {Chore(t, c) for t, cubes in possible_targets(world.layout).items() for c in cubes}
    assert set(chores) <= promised and len(chores) == len(set(chores))
    assert {c.task for c in chores} == set(TASKS)


def test_asking_moves_nothing_and_the_present_layout_is_where_things_are(world):
    world.reset(3)
    before = world.body_poses()
    layout = present_layout(world, Chore("stack_cubes", (2, 0)))
    possible_chores(world)
    np.testing.assert_array_equal(world.body_poses(), before)
    np.testing.assert_allclose(layout.cube_xy_m, world.layout.cube_xy_m, atol=2e-3)
    assert layout.targets["stack_cubes"] == (2, 0)
    assert layout.targets["push_left"] == world.layout.targets["push_left"]


def test_a_full_bowl_takes_no_second_cube_and_its_cube_is_out_of_reach(world):
    world.reset(0)
    cube = world.layout.targets["cube_in_bowl"][0]
    assert do(world, Chore("cube_in_bowl", (cube,)))
    chores = possible_chores(world)
    assert chores and all(cube not in c.cubes for c in chores)
    assert all(c.task != "cube_in_bowl" for c in chores)


def test_a_tower_can_be_taken_down_again(world):
    world.reset(0)
    top, base = world.layout.targets["stack_cubes"]
    assert do(world, Chore("stack_cubes", (top, base)))
    chores = possible_chores(world)
    assert Chore("cube_on_plate", (top,)) in chores
    assert all(base not in c.cubes[:1] for c in chores)  # something stands on it
    assert all(c.cubes != (top,) for c in chores if c.task.startswith("push"))
    assert do(world, Chore("cube_on_plate", (top,)))
    assert Chore("cube_on_plate", (base,)) not in possible_chores(world)  # the plate is taken


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_possible_succeeds_over_several_tasks(world, seed):
    world.reset(seed)
    rng = np.random.default_rng(seed)
    for _ in range(4):
        chores = [c for c in possible_chores(world) if c.task != "press_button"]
        assert do(world, chores[rng.integers(len(chores))])


def test_a_cube_that_lies_askew_is_left_alone(world):
    world.reset(0)
    position = world.cube_position_m(1)
    cubes = np.array([world.cube_position_m(k) for k in range(3)])
    joints = world.proprioception().positions_rad
    for yaw, can in ((0.2, True), (np.pi / 2 + 0.2, True), (np.pi / 4, False)):
        world.pose(joints, 0.08, cubes, np.array([0.0, yaw, 0.0]))
        assert (Chore("cube_in_bowl", (1,)) in possible_chores(world)) is can
    cubes[1] = cubes[0] + (0.06, 0, 0)
    world.pose(joints, 0.08, cubes, np.zeros(3))
    assert Chore("cube_in_bowl", (1,)) not in possible_chores(world), position
