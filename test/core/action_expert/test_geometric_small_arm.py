# SPDX-License-Identifier: Apache-2.0
"""The geometric expert with five joints and a jaw: it leads the middle between the fingers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mu0_core.action_expert.geometric.geometric_expert import GeometricExpert, GeometricSettings
from mu0_core.action_expert.geometric.strokes import StrokeSettings
from mu0_core.control.decision import Outcome
from mu0_core.control.safety_gate import SafetyGate
from mu0_core.errors import ConfigError, KinematicsError
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.spline.basis import bezier_knots
from mu0_core.spline.fit import refit
from mu0_core.types import Proprioception, QueryPoints, Role, TraceForecast

ROBOT = load_robot("so101")
KINEMATICS = Kinematics(ROBOT)
OPEN, CLOSED = ROBOT.gripper.open_m, ROBOT.gripper.closed_m
HALF = 0.011
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * HALF
SHARE = np.clip((np.arange(33) / 32 - 0.25) / 0.6, 0, 1)


def carried(start, goal):
    way = SHARE[:, None] * (np.array(goal) - start)
    way[:, 2] += 0.05 * np.sin(np.pi * SHARE)
    return way


def forecast(points, way):
    count, knots = len(points), bezier_knots(10)
    query = QueryPoints(
        np.zeros((count, 2), np.float32), np.ones(count, np.float32),
        np.arange(count, dtype=np.uint32), np.zeros(count, np.uint16),
        np.full(count, Role.UNKNOWN, np.uint8), 64, 48,
    )  # fmt: skip
    control = refit(points[:, None] + way, knots).astype(np.float32)
    valid = np.ones(count, np.float32)
    return TraceForecast(control, knots, 3, valid, None, query, "do it", "test", "camera", 1)


def state_with_middle_at(middle, opening):
    """Return the state of an arm, tool down, whose fingers have their middle there."""
    pose = KINEMATICS.tip(ROBOT.home_rad)
    pose[:3, 3] = np.array(middle) - pose[:3, 1] * ROBOT.gripper.centre_m(opening)
    joints = KINEMATICS.inverse(pose, ROBOT.home_rad)
    return Proprioception(joints, np.zeros(5), opening, 1)


def middles(joints, openings):
    tips = KINEMATICS.tip(joints)
    return tips[:, :3, 3] + ROBOT.gripper.centre_m(openings)[:, None] * tips[:, :3, 1]


@pytest.fixture(scope="module")
def expert():
    return GeometricExpert(ROBOT)


def test_the_open_jaw_comes_down_with_its_middle_over_the_thing(expert):
    at = np.array([0.22, 0.03, HALF])
    state = state_with_middle_at((0.225, 0.03, 0.055), OPEN)
    seen = forecast(CUBE + at, carried(at, (0.2, -0.08, HALF)))
    chunk = expert.propose(seen, state, np.eye(4), start_ns=1)
    closing = int(np.argmax(chunk.gripper_m < 0))
    assert closing > 2
    here = middles(chunk.positions_rad, np.full(len(chunk.gripper_m), OPEN))[closing - 1]
    np.testing.assert_allclose(here[:2], at[:2], atol=2e-3)
    assert 0.005 < here[2] < 0.02
    still = chunk.positions_rad[closing : closing + 4]
    assert np.ptp(still, axis=0).max() < 0.02  # the arm does not move aside while the jaw closes
    assert (chunk.gripper_m[closing:] == CLOSED).all()


def test_a_jaw_that_closes_on_nothing_is_led_by_its_new_middle(expert):
    at = np.array([0.22, 0.05, HALF])
    way = np.zeros((33, 3))
    way[:, 1] = -0.055 * SHARE
    state = state_with_middle_at((0.22, 0.0, 0.07), OPEN)
    chunk = expert.propose(forecast(CUBE + at, way), state, np.eye(4), start_ns=1)
    assert chunk.gripper_m[0] == OPEN and chunk.gripper_m[-1] == CLOSED
    end = middles(chunk.positions_rad[-1:], chunk.gripper_m[-1:])[0]
    assert end[1] > at[1] + HALF + 0.02  # behind it, on the far side of where it goes
    assert end[0] == pytest.approx(at[0], abs=3e-3)


def test_everything_is_as_much_smaller_as_the_work(expert):
    plain, small = GeometricSettings(), expert.settings
    assert small.strokes.travel == ROBOT.work_scale * plain.strokes.travel
    assert small.limits.speed_m_s == ROBOT.work_scale * plain.limits.speed_m_s
    assert small.reach_m == ROBOT.work_scale * plain.reach_m
    assert small.strokes.turn_rad == plain.strokes.turn_rad
    assert small.strokes.worst_fit == plain.strokes.worst_fit  # how far a forecast is believed
    assert small.limits.period_s == plain.limits.period_s
    assert StrokeSettings().scaled(1.0) == StrokeSettings()
    assert GeometricExpert(load_robot("fr3")).settings == plain


def test_a_chunk_of_the_small_arm_passes_its_gate(expert):
    at = np.array([0.26, -0.08, HALF])
    state = state_with_middle_at((0.2, 0.05, 0.1), OPEN)
    seen = forecast(CUBE + at, carried(at, (0.2, 0.08, HALF)))
    chunk = expert.propose(seen, state, np.eye(4), start_ns=1)
    gate = SafetyGate(ROBOT)
    gate.observe(state, 1)
    decision = gate.submit(chunk, state, 1)
    assert decision.outcome is not Outcome.REJECT, decision.message
    over = middles(chunk.positions_rad[-1:], chunk.gripper_m[-1:])[0]
    np.testing.assert_allclose(over[:2], at[:2], atol=3e-3)


def test_a_dip_of_the_arm_over_something_at_rest_presses_it_with_closed_fingers(expert):
    """The trace turns back 10 mm above the thing; the fingers go below its top, and up again."""
    at = np.array([0.22, 0.03, 0.0])
    thing = CUBE * [0.7, 0.7, 1.0] + at + [0, 0, HALF]
    state = state_with_middle_at((*at[:2], 0.07), CLOSED)
    hand = KINEMATICS.tip(state.positions_rad)[:3, 3] + CUBE + [0, 0, 0.05]
    dip = np.zeros((33, 3))
    dip[:, 2] = -0.038 * np.sin(np.pi * np.arange(33) / 32)
    seen = forecast(np.concatenate([hand, thing]), np.zeros((33, 3)))
    moving = forecast(np.concatenate([hand, thing]), dip)
    control = np.where(
        np.arange(16)[:, None, None] < 8, moving.control_points, seen.control_points
    )
    query = replace(seen.query, entity_ids=np.repeat([0, 1], 8).astype(np.uint16))
    pressed = replace(seen, control_points=control, query=query)
    chunk = expert.propose(pressed, state, np.eye(4), start_ns=1)
    way = middles(chunk.positions_rad, np.full(len(chunk.gripper_m), CLOSED))
    assert way[:, 2].min() < 2 * HALF - 0.005 and (chunk.gripper_m == CLOSED).all()
    assert way[-1, 2] > 0.06
    np.testing.assert_allclose(way[way[:, 2].argmin(), :2], at[:2], atol=3e-3)
    moved = control.copy()
    moved[8:, :, 1] += 0.08  # nothing below: the dip stays as it is forecast
    chunk = expert.propose(replace(pressed, control_points=moved), state, np.eye(4), start_ns=1)
    assert middles(chunk.positions_rad, chunk.gripper_m)[:, 2].min() > 0.028


def test_no_joint_is_asked_for_more_than_its_share_of_speed(expert):
    at = np.array([0.26, -0.12, HALF])
    state = state_with_middle_at((0.18, 0.12, 0.06), OPEN)
    seen = forecast(CUBE + at, carried(at, (0.2, 0.08, HALF)))
    calm = expert.propose(seen, state, np.eye(4), start_ns=1)
    slow = GeometricExpert(ROBOT, GeometricSettings(joint_speed=0.1))
    slowed = slow.propose(seen, state, np.eye(4), start_ns=1)
    np.testing.assert_array_equal(slowed.positions_rad, calm.positions_rad)
    assert slowed.step_period_s > calm.step_period_s >= expert.settings.limits.period_s
    for chunk, share in ((calm, 0.7), (slowed, 0.1)):
        speed = np.abs(np.diff(chunk.positions_rad, axis=0)).max(axis=0) / chunk.step_period_s
        assert np.all(speed <= share * ROBOT.limits.velocity_rad_s + 1e-9)


def test_a_way_that_leaps_to_another_posture_is_cut_off(expert, monkeypatch):
    """Solutions beyond a leap are not strung together: the gate would refuse the whole chunk."""
    at = np.array([0.26, -0.08, HALF])
    state = state_with_middle_at((0.2, 0.05, 0.1), OPEN)
    seen = forecast(CUBE + at, carried(at, (0.2, 0.08, HALF)))
    whole = expert.propose(seen, state, np.eye(4), start_ns=1)
    solved, inverse = [], expert._kinematics.inverse

    def leaping(pose, seed):
        solved.append(inverse(pose, seed))
        return solved[-1] + (0.5 if len(solved) > 8 else 0.0)

    monkeypatch.setattr(expert._kinematics, "inverse", leaping)
    cut = expert.propose(seen, state, np.eye(4), start_ns=1)
    assert len(cut.positions_rad) == 8 < len(whole.positions_rad)
    solved.extend([None] * 9)
    with pytest.raises(KinematicsError, match=r"leads through another posture: 0\.5"):
        expert.propose(seen, state, np.eye(4), start_ns=1)


@pytest.mark.parametrize("scale", [0.0, -1.0, 9.0])
def test_a_work_scale_that_cannot_be_is_refused(scale):
    with pytest.raises(ConfigError, match=f"work_scale {scale}: allowed 0.05 to 5"):
        replace(ROBOT, work_scale=scale)
