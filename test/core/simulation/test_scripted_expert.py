# SPDX-License-Identifier: Apache-2.0
"""The scripted expert's rounds: limits, what a plan depends on, recovery, when it is over."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.simulation import expert
from mu0_core.simulation.layout import possible_targets, sample_layout
from mu0_core.simulation.shadow_table import ShadowTable, play
from mu0_core.simulation.tasks import TASKS

CASES = [(seed, task) for seed in (0, 1, 2) for task in TASKS]


@pytest.fixture
def table():
    return ShadowTable(sample_layout(0))


@pytest.mark.parametrize(("seed", "task"), CASES)
def test_commands_keep_to_the_speed_and_acceleration_limits(seed, task):
    table = ShadowTable(sample_layout(seed))
    tip = table.tip_position_m()
    _, rounds = play(table, task, table.layout.targets[task], 8)
    for planned in rounds:
        way = np.vstack([tip, tip, planned.tip_m])  # every round starts and ends at rest
        velocity = np.diff(way, axis=0) / expert.CONTROL_PERIOD_S
        assert np.linalg.norm(velocity, axis=1).max() <= expert.SPEED_M_S + 1e-9
        change = np.diff(velocity, axis=0) / expert.CONTROL_PERIOD_S
        assert np.linalg.norm(change, axis=1).max() <= expert.ACCELERATION_M_S2 + 1e-6
        tip = planned.tip_m[-1]


@pytest.mark.parametrize(("seed", "task"), CASES)
def test_every_task_is_over_after_some_rounds_for_everything_it_can_be_about(seed, task):
    layout = sample_layout(seed)
    for cubes in possible_targets(layout)[task]:
        _, rounds = play(ShadowTable(layout), task, cubes, 8)
        assert rounds[-1].over and len(rounds) > 1
        assert not any(planned.over for planned in rounds[:-1])


def test_a_plan_depends_on_what_is_seen_alone(table):
    play(table, "cube_in_bowl", (0,), 2)
    again = ShadowTable(table.layout)
    again.cubes_m, again.yaw_rad = table.cubes_m.copy(), table.yaw_rad.copy()
    again.place_arm(table.tip_position_m(), table.opening_m())
    one, two = (expert.plan_round(t, "cube_in_bowl", (0,)) for t in (table, again))
    np.testing.assert_array_equal(one.tip_m, two.tip_m)
    np.testing.assert_array_equal(one.opening_m, two.opening_m)


def test_a_dropped_cube_is_picked_up_again(table):
    while table.held is None:
        play(table, "cube_on_plate", (1,), 1)
    table.place_arm(table.tip_position_m() + (0.03, 0.02, 0.05), expert.OPEN_M)
    assert table.held is None
    _, rounds = play(table, "cube_on_plate", (1,), 8)
    assert rounds[-1].over
    assert np.linalg.norm((table.cubes_m[1] - table.body_position_m("plate"))[:2]) < 0.02


def test_an_empty_grip_is_opened_above_the_cube(table):
    cube = table.cube_position_m(0)
    table.place_arm(cube + (0, 0, 0.12), expert.CLOSED_M)
    planned = expert.plan_round(table, "cube_in_bowl", (0,))
    assert planned.opening_m[-1] == expert.OPEN_M
    assert planned.tip_m[:, 2].min() > cube[2] + 0.05


def test_standing_over_a_pushed_cube_with_closed_fingers_is_the_end(table):
    cube = table.cube_position_m(0)
    table.place_arm(cube + (0, 0.02, 0.15), expert.CLOSED_M)
    planned = expert.plan_round(table, "push_left", (0,))
    assert planned.over
    np.testing.assert_allclose(planned.tip_m, table.tip_position_m()[None].repeat(24, 0))


@pytest.mark.parametrize("aside_m", [0.0, 0.03])
def test_a_press_that_missed_is_repeated(table, aside_m):
    button = table.body_position_m("button")
    table.place_arm(button + (aside_m, 0, 0.15), expert.CLOSED_M)
    _, rounds = play(table, "press_button", ())
    assert not rounds[0].over and rounds[-1].over
    assert table.button_was_pressed


def test_a_lit_button_is_left_alone_once_the_arm_has_withdrawn(table):
    button = table.body_position_m("button")
    table.button_was_pressed = True
    table.place_arm(button + (0, 0, 0.15), expert.CLOSED_M)
    assert expert.plan_round(table, "press_button", ()).over
    table.place_arm(button + (0, 0, 0.06), expert.CLOSED_M)
    planned = expert.plan_round(table, "press_button", ())
    assert not planned.over and planned.tip_m[:, 2].min() > 0.059
    assert planned.tip_m[-1, 2] > 0.15
