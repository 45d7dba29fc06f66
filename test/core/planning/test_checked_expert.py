# SPDX-License-Identifier: Apache-2.0
"""Chunks that would hit something are not proposed; an approach may go around it."""

from dataclasses import replace

import numpy as np
import pytest

from mu0_core.errors import ConfigError, ObservationError, PlanningError
from mu0_core.geometry.box import Box
from mu0_core.planning.checked_expert import CheckedExpert, CheckSettings
from mu0_core.planning.scene import PlanningScene, floor_box
from mu0_core.robot.kinematics import Kinematics
from mu0_core.spline.basis import bezier_knots
from mu0_core.testing.arm_cases import at, chunk_of
from mu0_core.types import QueryPoints, TraceForecast


class Straight:
    """Proposes a straight line of joints to a goal; the gripper moves at the end if asked."""

    model_id = "straight"

    def __init__(self, robot, goal_rad, opening=None):
        self.robot, self.goal, self.opening = robot, goal_rad, opening

    def propose(self, forecast, state, T_base_camera, *, start_ns, sequence=0, seed=0):
        share = np.arange(1, 21)[:, None] / 20
        steps = state.positions_rad + share * (self.goal - state.positions_rad)
        chunk = chunk_of(self.robot, steps, start_ns, sequence)
        return replace(chunk, gripper_m=self.opening, execute_steps=20)


def forecast_of(places_m, way_m):
    """One body at places (N, 3) of the base frame that moves by way (3,)."""
    places = np.asarray(places_m, np.float32)
    n = len(places)
    control = places[:, None] + np.linspace(0, 1, 10)[:, None] * np.asarray(way_m, np.float32)
    query = QueryPoints(
        np.zeros((n, 2), np.float32),
        np.ones(n, np.float32),
        np.arange(n, dtype=np.uint32),
        np.zeros(n, np.uint16),
        np.zeros(n, np.uint8),
        160,
        120,
    )
    return TraceForecast(
        control.astype(np.float32),
        bezier_knots(10),
        3,
        np.ones(n, np.float32),
        None,
        query,
        "put it there",
        "true",
        "base",
        0,
    )


NOTHING_MOVES = forecast_of([[0.5, 0.0, 0.02]], [0.0, 0.0, 0.0])


@pytest.fixture
def case(planner):
    """Left and right of a wall in front of the FR3."""
    robot = planner.robot
    wall = Box.at("wall", np.array([0.45, 0.0, 0.15]), (0.3, 0.02, 0.3))
    scene = PlanningScene((floor_box(robot), wall))
    pose = Kinematics(robot).tip(robot.home_rad)
    ends, near = [], robot.home_rad
    for y in (-0.2, 0.2):
        pose[:3, 3] = [0.45, y, 0.12]
        near = planner.inverse(pose, near, scene)
        ends.append(near)
    return planner, scene, *ends


def proposal(expert, start, forecast=NOTHING_MOVES, gripper_m=0.08):
    state = at(expert._planner.robot, start, gripper_m=gripper_m)
    return expert.propose(forecast, state, np.eye(4), start_ns=0, sequence=4)


def test_a_free_chunk_is_passed_on_untouched(case):
    planner, _, left, right = case
    inner = Straight(planner.robot, right)
    expert = CheckedExpert(inner, planner, lambda state, T: PlanningScene())
    chunk = proposal(expert, left)
    assert np.allclose(chunk.positions_rad[-1], right) and chunk.sequence == 4
    assert expert.model_id == "straight"


def test_a_chunk_through_a_wall_is_refused(case):
    planner, scene, left, right = case
    expert = CheckedExpert(Straight(planner.robot, right), planner, lambda state, T: scene)
    with pytest.raises(PlanningError, match="the proposed motion: .*wall would touch at step"):
        proposal(expert, left)


def test_an_approach_goes_around_instead(case):
    planner, scene, left, right = case
    expert = CheckedExpert(
        Straight(planner.robot, right, np.full(20, 0.08)),
        planner,
        lambda state, T: scene,
        CheckSettings(detour=True),
    )
    chunk = proposal(expert, left)
    assert expert.detours == 1 and np.allclose(chunk.positions_rad[-1], right)
    assert len(chunk.gripper_m) == len(chunk.positions_rad) == chunk.execute_steps
    path = np.concatenate([left[None], chunk.positions_rad])
    assert planner.check(path, scene).collision is None


def test_a_detour_ends_before_the_fingers_move(case):
    planner, scene, left, right = case
    opening = np.full(20, 0.08)
    opening[18:] = 0.0
    expert = CheckedExpert(
        Straight(planner.robot, right, opening),
        planner,
        lambda state, T: scene,
        CheckSettings(detour=True),
    )
    chunk = proposal(expert, left)
    assert (chunk.gripper_m == 0.08).all()
    assert np.allclose(chunk.positions_rad[-1], left + (right - left) * 18 / 20)


def test_nothing_is_carried_around_by_surprise(case):
    planner, scene, left, right = case
    expert = CheckedExpert(
        Straight(planner.robot, right), planner, lambda state, T: scene, CheckSettings(detour=True)
    )
    with pytest.raises(PlanningError, match="the proposed motion"):
        proposal(expert, left, gripper_m=0.04)


def test_without_a_free_end_there_is_no_detour(case):
    planner, scene, left, right = case
    tip = Kinematics(planner.robot).tip(right)[:3, 3]
    full = replace(scene, boxes=(*scene.boxes, Box.at("block", tip, (0.3, 0.3, 0.3))))
    expert = CheckedExpert(
        Straight(planner.robot, right), planner, lambda state, T: full, CheckSettings(detour=True)
    )
    with pytest.raises(PlanningError, match="nothing after that is free"):
        proposal(expert, left)


def block_of_points(centre):
    """A cube of 8 cm as a camera sees it."""
    grid = np.stack(np.meshgrid(*[np.arange(-0.03, 0.04, 0.02)] * 3), -1).reshape(-1, 3)
    return grid + np.round(np.asarray(centre) / 0.02) * 0.02


@pytest.mark.parametrize("moves", [True, False])
def test_what_is_forecast_to_move_may_be_touched(case, moves):
    planner, _, left, right = case
    on_the_way = Kinematics(planner.robot).tip(left + 0.5 * (right - left))[:3, 3]
    points = block_of_points(on_the_way)
    scene = PlanningScene(points_m=points, voxel_m=0.02)
    expert = CheckedExpert(Straight(planner.robot, right), planner, lambda state, T: scene)
    way = [0.0, 0.2, 0.1] if moves else [0.0, 0.0, 0.0]
    forecast = forecast_of(points[::5], way)
    if moves:
        assert np.allclose(proposal(expert, left, forecast).positions_rad[-1], right)
    else:
        with pytest.raises(PlanningError, match="points would touch"):
            proposal(expert, left, forecast)


def test_what_is_at_the_end_of_the_chunk_may_be_touched(case):
    planner, _, left, right = case
    tip = Kinematics(planner.robot).tip(right)[:3, 3]
    scene = PlanningScene(points_m=block_of_points(tip), voxel_m=0.02)
    assert planner.check(right[None], scene).collision is not None
    expert = CheckedExpert(Straight(planner.robot, right), planner, lambda state, T: scene)
    assert np.allclose(proposal(expert, left).positions_rad[-1], right)


def test_who_cannot_see_proposes_nothing(case):
    planner, _, left, right = case

    def blind(state, T):
        raise ObservationError("no pixel of the depth image is known")

    expert = CheckedExpert(Straight(planner.robot, right), planner, blind)
    with pytest.raises(ObservationError, match="no pixel"):
        proposal(expert, left)


def test_lengths_must_be_positive():
    with pytest.raises(ConfigError, match="lengths must be positive"):
        CheckSettings(contact_m=0.0)
