# SPDX-License-Identifier: Apache-2.0
"""The geometric expert: what it makes of traces whose meaning is known, and when it gives up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mu0_core.action_expert.geometric.geometric_expert import GeometricExpert, GeometricSettings
from mu0_core.action_expert.geometric.strokes import StrokeSettings
from mu0_core.control.safety_gate import SafetyGate
from mu0_core.errors import ConfigError, KinematicsError, UnclearTraceError
from mu0_core.inference import runtime
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.spline.basis import bezier_knots
from mu0_core.spline.fit import refit
from mu0_core.types import Proprioception, QueryPoints, Role, TraceForecast

ROBOT = load_robot("fr3")
KINEMATICS = Kinematics(ROBOT)
HALF = 0.022
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 1)]) * HALF
STEPS = np.arange(33) / 32


def cube_at(x, y, z=HALF):
    return CUBE + [x, y, z]


def lifted(x, y, goal, z=0.0):
    """Return the way (33, 3) of something that is picked up after a quarter and put at a goal."""
    way = np.zeros((33, 3))
    share = np.clip((STEPS - 0.25) / 0.6, 0, 1)
    way[:, :2] = share[:, None] * (np.array(goal) - [x, y])
    way[:, 2] = 0.12 * np.sin(np.pi * share) + share * z
    return way


def forecast(*bodies, valid_until=1.0, spread_m=None):
    """Return a forecast of bodies, each points (N, 3) and a way (33, 3), in the base frame."""
    points = np.concatenate([p for p, _ in bodies])
    ways = np.concatenate([np.repeat(w[None], len(p), axis=0) for p, w in bodies])
    entity = np.concatenate([np.full(len(p), k) for k, (p, _) in enumerate(bodies)])
    count, knots = len(points), bezier_knots(10)
    query = QueryPoints(
        uv_px=np.zeros((count, 2), np.float32), depth_m=np.ones(count, np.float32),
        ids=np.arange(count, dtype=np.uint32), entity_ids=entity.astype(np.uint16),
        roles=np.full(count, Role.UNKNOWN, np.uint8), width=64, height=48,
    )  # fmt: skip
    return TraceForecast(
        refit(points[:, None] + ways, knots).astype(np.float32), knots, 3,
        np.full(count, valid_until, np.float32), spread_m, query, "do it", "test", "camera", 1,
    )  # fmt: skip


def state(tip, opening):
    pose = KINEMATICS.tip(ROBOT.home_rad)
    pose[:3, 3] = tip
    joints = KINEMATICS.inverse(pose, ROBOT.home_rad)
    return Proprioception(
        positions_rad=joints, velocities_rad_s=np.zeros(7), gripper_m=opening, stamp_ns=1
    )


@pytest.fixture(scope="module")
def expert():
    return GeometricExpert(ROBOT)


def propose(expert, seen, tip, opening=0.08):
    chunk = expert.propose(seen, state(tip, opening), np.eye(4), start_ns=1)
    return KINEMATICS.tip(chunk.positions_rad)[:, :3, 3], chunk


REST = np.zeros((33, 3))


def test_far_from_a_thing_it_goes_above_it_with_open_fingers(expert):
    seen = forecast((cube_at(0.5, 0.1), lifted(0.5, 0.1, (0.4, -0.2))), (cube_at(0.6, -0.1), REST))
    tips, chunk = propose(expert, seen, (0.4, 0.0, 0.3))
    np.testing.assert_allclose(tips[-1, :2], [0.5, 0.1], atol=0.003)
    assert 0.09 < tips[-1, 2] < 0.14 and (chunk.gripper_m == 0.08).all()
    assert tips[:, 2].min() > 0.08


def test_above_a_thing_it_grasps_and_lifts_it(expert):
    seen = forecast((cube_at(0.5, 0.1), lifted(0.5, 0.1, (0.45, -0.15))))
    tips, chunk = propose(expert, seen, (0.505, 0.095, 0.12))
    closing = int(np.argmax(chunk.gripper_m < 0.04))
    np.testing.assert_allclose(tips[closing], [0.5, 0.1, 0.02], atol=0.005)
    assert (chunk.gripper_m[closing:] == 0).all() and (chunk.gripper_m[:closing] == 0.08).all()
    still = tips[closing : closing + 5]
    assert np.ptp(still, axis=0).max() < 2e-3  # the fingers get their time
    np.testing.assert_allclose(tips[-1], [0.45, -0.15, 0.14], atol=0.005)


def test_closed_fingers_open_before_it_goes_there(expert):
    seen = forecast((cube_at(0.5, 0.1), lifted(0.5, 0.1, (0.4, -0.2))))
    tips, chunk = propose(expert, seen, (0.5, 0.1, 0.12), opening=0.0)
    opening = int(np.argmax(chunk.gripper_m > 0.04))
    assert chunk.gripper_m[0] == 0.0 and (chunk.gripper_m[opening:] == 0.08).all()
    assert tips[:, 2].min() > 0.1


def held_at(tip):
    return cube_at(tip[0], tip[1], tip[2] - HALF / 2)


def test_a_held_thing_is_carried_over_its_place(expert):
    tip = np.array([0.5, 0.1, 0.05])
    way = lifted(0.5, 0.1, (0.42, -0.2))
    way[:, 2] += 0.0
    tips, chunk = propose(expert, forecast((held_at(tip), way)), tip, opening=0.044)
    assert (chunk.gripper_m == 0).all()
    np.testing.assert_allclose(tips[-1, :2], [0.42, -0.2], atol=0.004)
    assert tips[-1, 2] >= 0.135 and tips[:, 2].min() > 0.045


def test_over_its_place_it_is_let_go_and_left(expert):
    tip = np.array([0.45, -0.1, 0.14])
    way = np.zeros((33, 3))
    way[:, 2] = -0.1 * np.clip(STEPS / 0.5, 0, 1)
    way[:, 0] = 0.01 * np.clip(STEPS / 0.3, 0, 1)
    tips, chunk = propose(expert, forecast((held_at(tip), way)), tip, opening=0.044)
    release = int(np.argmax(chunk.gripper_m > 0.04))
    np.testing.assert_allclose(tips[release], [0.46, -0.1, 0.044], atol=0.004)
    assert (chunk.gripper_m[release:] == 0.08).all() and tips[-1, 2] > 0.1


def test_a_held_thing_that_turns_is_turned(expert):
    tip = np.array([0.45, 0.0, 0.2])
    points, phases = held_at(tip), STEPS
    turn = Rotation.from_rotvec(np.outer(0.8 * phases, [0, 0, 1])).as_matrix()
    centre = points.mean(axis=0)
    paths = np.einsum("tij,nj->nti", turn, points - centre) + centre
    paths[..., 0] += 0.1 * phases
    seen = forecast((points, REST))
    seen = replace(seen, control_points=refit(paths, seen.knots).astype(np.float32))
    chunk = expert.propose(seen, state(tip, 0.044), np.eye(4), start_ns=1)
    before, after = (KINEMATICS.tip(chunk.positions_rad[k])[:3, :3] for k in (0, -1))
    angle = Rotation.from_matrix(after @ before.T).as_rotvec()
    np.testing.assert_allclose(angle, [0, 0, 0.8], atol=0.06)


def test_a_sliding_thing_is_pushed_from_behind_with_closed_fingers(expert):
    way = np.zeros((33, 3))
    way[:, 1] = 0.11 * np.clip((STEPS - 0.3) / 0.5, 0, 1)
    seen = forecast((cube_at(0.5, 0.0), way))
    tips, chunk = propose(expert, seen, (0.45, 0.1, 0.2))
    assert chunk.gripper_m[-1] == 0 and tips[-1, 1] < -0.05 and tips[:, 2].min() > 0.08
    tips, chunk = propose(expert, seen, tips[-1], opening=0.0)
    low = tips[tips[:, 2] < 0.03]
    assert (chunk.gripper_m == 0).all() and len(low) > 5
    assert low[0, 1] < -HALF - 0.02 and low[-1, 1] == pytest.approx(0.11 - HALF - 0.026, abs=0.01)
    np.testing.assert_allclose(low[:, 0], 0.5, atol=0.004)


def test_the_arms_own_points_are_nothing_to_grasp(expert):
    tip = np.array([0.5, 0.0, 0.2])
    hand = np.array([[0.5, 0.04, 0.26], [0.5, -0.04, 0.26], [0.52, 0.0, 0.3]])
    way = np.zeros((33, 3))
    way[:, 2] = 0.1 * STEPS
    tips, _ = propose(expert, forecast((hand, way), (cube_at(0.6, 0.1), REST)), tip)
    np.testing.assert_allclose(tips[-1], [0.5, 0.0, 0.3], atol=0.005)  # only the arm moves


def test_nothing_to_do_is_staying_where_it_is(expert):
    tips, chunk = propose(expert, forecast((cube_at(0.5, 0.1), REST)), (0.4, 0.0, 0.3))
    assert np.ptp(tips, axis=0).max() < 1e-3 and (chunk.gripper_m == 0.08).all()


def test_a_held_thing_that_falls_apart_in_the_forecast_is_refused(expert):
    tip = np.array([0.5, 0.1, 0.1])
    points = held_at(tip)
    seen = forecast((points, REST))
    rng = np.random.default_rng(0)
    paths = points[:, None] + STEPS[:, None] * rng.normal(0, 0.2, (len(points), 1, 3))
    seen = replace(seen, control_points=refit(paths, seen.knots).astype(np.float32))
    with pytest.raises(UnclearTraceError, match=r"no rigid motion: residual \d+ mm, allowed 25"):
        expert.propose(seen, state(tip, 0.044), np.eye(4), start_ns=1)


def test_a_held_thing_that_stays_is_refused(expert):
    tip = np.array([0.5, 0.1, 0.1])
    with pytest.raises(UnclearTraceError, match="not forecast to move 30 mm"):
        propose(expert, forecast((held_at(tip), REST)), tip, opening=0.044)


def test_a_push_there_and_back_is_refused(expert):
    way = np.zeros((33, 3))
    way[:, 1] = 0.1 * np.sin(np.pi * STEPS)
    with pytest.raises(UnclearTraceError, match="come back"):
        propose(expert, forecast((cube_at(0.5, 0.0), way)), (0.45, 0.1, 0.2))


def test_out_of_reach_is_out_of_reach():
    far_away = np.array([3.0, 3.0, 3.0])
    arm = GeometricExpert(replace(ROBOT, workspace_max_m=far_away))
    far = forecast((cube_at(1.6, 0.0), lifted(1.6, 0.0, (1.2, 0.3))))
    tip = state((0.7, 0.0, 0.12), 0.08)
    chunk = arm.propose(far, tip, np.eye(4), start_ns=1)  # as far as it goes
    reach = KINEMATICS.tip(chunk.positions_rad)[-1, 0, 3]
    assert reach < 1.0
    edge = Proprioception(
        positions_rad=chunk.positions_rad[-1], velocities_rad_s=np.zeros(7), gripper_m=0.08,
        stamp_ns=1,
    )  # fmt: skip
    with pytest.raises(KinematicsError):
        arm.propose(far, edge, np.eye(4), start_ns=1)


def test_points_with_wide_spread_weigh_less(expert):
    tip = np.array([0.45, -0.1, 0.14])
    way, wild = np.zeros((33, 3)), np.zeros((33, 3))
    way[:, 2] = -0.1 * np.clip(STEPS / 0.5, 0, 1)
    wild[:, 2] = -0.06 * np.clip(STEPS / 0.5, 0, 1)
    points = held_at(tip)
    both = forecast((points, way), (points, wild))
    query = replace(both.query, entity_ids=np.zeros(16, np.uint16))
    spread = np.full((16, 10), 0.002, np.float32)
    spread[8:] = 0.08
    lows = []
    for sure in (spread, spread[::-1]):
        seen = replace(both, query=query, spread_m=sure)
        tips, _ = propose(expert, seen, tip, opening=0.044)
        lows.append(tips[:, 2].min())
    assert lows[0] < lows[1] - 0.02


@pytest.mark.parametrize("tip", [(0.4, 0.0, 0.3), (0.505, 0.095, 0.12)])
def test_the_gate_passes_what_it_proposes(expert, tip):
    seen = forecast((cube_at(0.5, 0.1), lifted(0.5, 0.1, (0.45, -0.15))))
    now = state(tip, 0.08)
    gate = SafetyGate(ROBOT)
    gate.observe(now, 1)
    chunk = expert.propose(seen, now, np.eye(4), start_ns=1)
    decision = gate.submit(chunk, now, 1)
    assert decision.arm is not None, decision.message


def test_it_is_loaded_by_name_for_any_arm():
    assert isinstance(runtime.load_action_expert("geometric", ROBOT), GeometricExpert)


def test_sizes_must_be_positive():
    with pytest.raises(ConfigError, match="hover 0 must be positive"):
        GeometricExpert(ROBOT, GeometricSettings(StrokeSettings(hover=0)))
