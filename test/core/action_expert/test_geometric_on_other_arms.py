# SPDX-License-Identifier: Apache-2.0
"""The geometric expert without training on arms of six and five joints, judged by the gate."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.control.decision import Outcome
from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.safety_gate import SafetyGate
from mu0_core.inference import runtime
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.spline.basis import bezier_knots
from mu0_core.spline.fit import refit
from mu0_core.types import Proprioception, QueryPoints, Role, TraceForecast

CUBE = 0.02 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)])
PLACES = {"ur5e": ((0.45, 0.10), (0.50, -0.15)), "so101": ((0.20, 0.05), (0.22, -0.06))}


def picked_up(start, goal, size):
    """Return the forecast of a cube at start (x, y) that is lifted and put down at goal (x, y)."""
    share = np.clip((np.arange(33) / 32 - 0.25) / 0.6, 0, 1)
    way = np.zeros((33, 3))
    way[:, :2] = share[:, None] * (np.array(goal) - start)
    way[:, 2] = size * 0.06 * np.sin(np.pi * share)
    points, knots = size * CUBE + (*start, 0.0), bezier_knots(10)
    count = len(points)
    query = QueryPoints(
        uv_px=np.zeros((count, 2), np.float32), depth_m=np.ones(count, np.float32),
        ids=np.arange(count, dtype=np.uint32), entity_ids=np.zeros(count, np.uint16),
        roles=np.full(count, Role.UNKNOWN, np.uint8), width=64, height=48,
    )  # fmt: skip
    control = refit(points[:, None] + way[None], knots).astype(np.float32)
    valid = np.ones(count, np.float32)
    return TraceForecast(control, knots, 3, valid, None, query, "do it", "test", "camera", 1)


@pytest.fixture(params=sorted(PLACES))
def arm(request):
    return Kinematics(load_robot(request.param))


def middles(arm, positions_rad, opening_m):
    """Return where the middle between the fingers is (K, 3) at joints (K, A) and openings (K,)."""
    tips = arm.tip(positions_rad)
    beside = arm.robot.gripper.centre_m(np.asarray(opening_m))
    return tips[:, :3, 3] + tips[:, :3, 1] * np.broadcast_to(beside, len(tips))[:, None]


def standing(arm, xyz):
    """Return joint states with the tool down and the middle between open fingers at xyz."""
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[:3, 3] = xyz
    pose[1, 3] += arm.robot.gripper.centre_m(arm.robot.gripper.open_m)
    joints = arm.inverse(pose, arm.robot.home_rad)
    count, open_m = len(joints), arm.robot.gripper.open_m
    return Proprioception(joints, np.zeros(count), open_m, 1)


def test_an_arm_without_a_trained_expert_names_the_geometric_one(arm):
    assert arm.robot.action_expert == "geometric"
    assert runtime.load_action_expert("geometric", arm.robot).model_id == "geometric"


def test_it_goes_down_to_the_cube_closes_lifts_and_the_gate_takes_it(arm):
    robot = arm.robot
    (start, goal), size = PLACES[robot.name], robot.work_scale
    expert = runtime.load_action_expert("geometric", robot)
    state = standing(arm, (*start, size * 0.09))
    chunk = expert.propose(picked_up(start, goal, size), state, np.eye(4), start_ns=1)
    assert chunk.joint_names == robot.arm_joints
    tips = middles(arm, chunk.positions_rad, chunk.gripper_m)
    lowest = int(np.argmin(tips[:, 2]))
    np.testing.assert_allclose(tips[lowest, :2], start, atol=2e-3)
    assert tips[lowest, 2] < size * 0.04
    closed = np.flatnonzero(chunk.gripper_m <= robot.gripper.closed_m + 1e-9)
    assert closed[0] >= lowest and tips[-1, 2] > tips[lowest, 2] + size * 0.05
    gate = SafetyGate(robot, GateSettings(arming_s=0.0))
    gate.observe(state, 1)
    decision = gate.submit(chunk, state, 1)
    assert decision.outcome in (Outcome.ACCEPT, Outcome.LIMIT), decision.message
    speeds = np.abs(decision.arm.velocities)
    assert np.all(speeds <= robot.limits.velocity_rad_s + 1e-9)


def test_a_cube_out_of_reach_is_refused_not_grasped_elsewhere(arm):
    from mu0_core.errors import KinematicsError

    start, goal = PLACES[arm.robot.name]
    far = picked_up((start[0] + 2.0, 0.0), goal, arm.robot.work_scale)
    expert = runtime.load_action_expert("geometric", arm.robot)
    state = standing(arm, (*start, 0.09))
    try:
        chunk = expert.propose(far, state, np.eye(4), start_ns=1)
    except KinematicsError:
        return
    assert np.all(chunk.gripper_m > arm.robot.gripper.closed_m)  # it never closes on nothing
