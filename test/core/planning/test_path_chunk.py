# SPDX-License-Identifier: Apache-2.0
"""A planned path becomes a chunk that the gate passes as it is, and that touches nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mu0_core.control.decision import Outcome
from mu0_core.errors import ConfigError, PlanningError
from mu0_core.geometry.box import Box
from mu0_core.planning.home import home_chunk, is_home
from mu0_core.planning.path_chunk import PathTiming, path_chunk, spread, timed_steps
from mu0_core.planning.planner import PathCheck, between
from mu0_core.planning.scene import PlanningScene, floor_box
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.testing.arm_cases import at, commanded, ready_gate


class Anything:
    """A planner to which every path is free, but those that it is told to refuse."""

    name = "anything"

    def __init__(self, robot, refuse=0):
        self.robot, self.refuse, self.checks = robot, refuse, 0

    def check(self, positions_rad, scene, *, clearance=False):
        from mu0_core.planning.planner import Collision

        self.checks += 1
        hit = Collision(1, ("hand", "wall")) if self.checks <= self.refuse else None
        return PathCheck(hit)


def bent(robot):
    """A path with two sharp corners."""
    path = np.tile(robot.home_rad, (4, 1))
    path[1:, 0] += 0.5
    path[2:, 3] += 0.4
    path[3:, 0] -= 0.3
    return path


def moved(robot, joints):
    state = at(robot, joints)
    return state, ready_gate(robot, joints)


def test_the_gate_passes_the_chunk_as_it_is():
    robot = load_robot("fr3")
    path = bent(robot)
    chunk = path_chunk(
        path, Anything(robot), PlanningScene(), start_ns=0, observation_ns=0, sequence=3
    )
    state, gate = moved(robot, path[0])
    decision = gate.submit(chunk, state, 0)
    assert decision.outcome is Outcome.ACCEPT, decision.message
    told = commanded(robot, decision.arm, path[0])
    assert told.broken_rule(robot) == ""
    assert np.allclose(told.positions[-1], path[-1], atol=1e-9)
    assert chunk.gripper_m is None and chunk.execute_steps == len(chunk.positions_rad)


def test_corners_are_rounded_and_the_ends_are_kept():
    robot = load_robot("fr3")
    steps = timed_steps(bent(robot), Anything(robot), PlanningScene())
    slow = timed_steps(
        bent(robot), Anything(robot), PlanningScene(), PathTiming(corner_steps=(0,))
    )
    assert np.array_equal(steps[-1], bent(robot)[-1])
    assert len(steps) < len(slow), "rounded corners need less braking"


def test_a_corner_that_cannot_be_rounded_is_kept():
    robot = load_robot("fr3")
    strict = Anything(robot, refuse=3)
    sharp = timed_steps(bent(robot), strict, PlanningScene())
    kept = timed_steps(
        bent(robot), Anything(robot), PlanningScene(), PathTiming(corner_steps=(0,))
    )
    assert strict.checks == 4 and np.array_equal(sharp, kept)
    with pytest.raises(PlanningError, match="the timed path: hand and wall would touch at step 1"):
        timed_steps(bent(robot), Anything(robot, refuse=5), PlanningScene())


def test_a_motion_too_long_for_a_chunk_is_refused():
    robot = load_robot("fr3")
    path = np.concatenate([bent(robot)] + [bent(robot)[::-1], bent(robot)] * 4)
    with pytest.raises(PlanningError, match="a chunk at most 20"):
        timed_steps(path, Anything(robot), PlanningScene(), PathTiming(speed_share=0.2))


def test_a_smooth_path_out_of_the_workspace_is_refused():
    robot = load_robot("fr3")
    path = np.stack([robot.home_rad, robot.home_rad])
    path[1, 0] = 1.2
    with pytest.raises(PlanningError, match="the timed path: the tip at .* outside") as caught:
        timed_steps(path, Anything(robot), PlanningScene())
    assert caught.value.code == "WORKSPACE_VIOLATION"


def test_standing_still_is_a_chunk_of_one_step():
    robot = load_robot("fr3")
    steps = timed_steps(np.stack([robot.home_rad] * 2), Anything(robot), PlanningScene())
    assert np.array_equal(steps, robot.home_rad[None])


@settings(max_examples=50)
@given(arrays(float, st.tuples(st.integers(2, 6), st.just(3)), elements=st.floats(-3, 3)))
def test_spread_points_lie_on_the_path_and_hold_its_ends(path):
    points = spread(path, 0.05)
    assert np.array_equal(points[0], path[0])
    if np.abs(np.diff(path, axis=0)).max() > 1e-6:
        assert np.allclose(points[-1], path[-1])
        assert np.abs(np.diff(points, axis=0)).max() <= 0.05 + 1e-9
    fine = between(path, 0.002)[0]
    apart = np.abs(points[:, None] - fine[None]).max(axis=2).min(axis=1)
    assert (apart <= 0.002).all()


def test_between_keeps_the_rows_and_the_resolution():
    path = np.array([[0.0, 0.0], [0.1, -0.35], [0.1, -0.35]])
    rows, steps = between(path, 0.1)
    assert np.abs(np.diff(rows, axis=0)).max() <= 0.1 + 1e-12
    assert np.array_equal(steps, [0, 1, 1, 1, 1, 2])
    for k, row in enumerate(path):
        assert any(np.allclose(row, r) for r in rows[steps == k])


@pytest.mark.parametrize("values", [{"period_s": 0.0}, {"speed_share": 1.5}, {"corner_steps": ()}])
def test_timing_that_cannot_be_is_refused(values):
    with pytest.raises(ConfigError):
        PathTiming(**values)


def test_the_way_home_leads_around_a_wall_and_through_the_gate(planner):
    robot = planner.robot
    box = Box.at("wall", np.array([0.42, 0.17, 0.2]), (0.24, 0.02, 0.4))
    scene = PlanningScene((floor_box(robot), box))
    pose = Kinematics(robot).tip(robot.home_rad)
    pose[:3, 3] = [0.45, 0.3, 0.15]
    start = planner.inverse(pose, robot.home_rad, scene)
    assert planner.check(np.stack([start, robot.home_rad]), scene).collision is not None
    state, gate = moved(robot, start)
    chunk = home_chunk(
        planner, scene, state, start_ns=0, observation_ns=0, sequence=1, task_id=b"\x01" * 16
    )
    assert chunk.task_id == b"\x01" * 16 and chunk.model_id == "roboplan"
    assert not is_home(start, robot) and is_home(chunk.positions_rad[-1], robot)
    decision = gate.submit(chunk, state, 0)
    assert decision.outcome in (Outcome.ACCEPT, Outcome.LIMIT), decision.message
    told = commanded(robot, decision.arm, start)
    assert told.broken_rule(robot) == ""
    assert planner.check(told.positions[::10], scene).collision is None
