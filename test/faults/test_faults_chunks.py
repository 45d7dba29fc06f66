# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue that end at the gate: bad numbers and bad motions in chunks.

After each fault the arm has not been commanded and a good chunk runs without a restart.
"""

import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.control.decision import GateDecision, GateState, Outcome
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.control.safety_gate import SafetyGate
from mu0_core.robot.kinematics import Kinematics
from mu0_core.testing import arm_cases
from mu0_core.testing.arm_cases import at, chunk_of, commanded, ready_gate, roomy_robot, sampled

ROBOT = roomy_robot()
HOME, LIMITS, TEN_SECONDS = ROBOT.home_rad, ROBOT.limits, 10 * 10**9
chunk = partial(chunk_of, ROBOT)
reach = partial(arm_cases.reach, ROBOT)


def judge(gate: SafetyGate, proposal) -> GateDecision:
    return gate.submit(proposal, at(ROBOT), 0)


def assert_unmoved_and_ready(gate: SafetyGate, decision: GateDecision, *codes: str) -> None:
    """The universal assertions for a rejected chunk."""
    assert decision.outcome is Outcome.REJECT and decision.code in codes, decision
    assert decision.arm is None and decision.gripper is None and not gate.is_moving(1)
    assert gate.counters["reject"] >= 1 and gate.counters[decision.code] >= 1
    assert gate.cause == decision.code and gate.cause_message == decision.message
    good = gate.submit(
        chunk(reach(), TEN_SECONDS, sequence=99), at(ROBOT, now_ns=TEN_SECONDS), TEN_SECONDS
    )
    assert good.outcome is Outcome.ACCEPT, good
    assert commanded(ROBOT, good.arm, HOME).broken_rule(ROBOT) == ""


# -- numbers in ----------------------------------------------------------------------------------


@given(
    st.integers(1, 30),
    st.integers(0, 10**6),
    st.sampled_from([np.nan, np.inf, -np.inf]),
    st.booleans(),
)
def test_row_01_non_finite_number_at_any_index(steps, index, value, in_gripper):
    positions, gripper = reach(steps=steps, by_rad=0.01), np.full(steps, 0.04)
    target = gripper if in_gripper else positions
    target.flat[index % target.size] = value
    gate = ready_gate(ROBOT)
    decision = judge(gate, chunk(positions, gripper_m=gripper))
    assert_unmoved_and_ready(gate, decision, "NON_FINITE_OUTPUT")


def test_row_01_three_in_a_row_latch_until_reset():
    gate = ready_gate(ROBOT)
    bad = np.full((8, 7), np.nan)
    judge(gate, chunk(bad))
    judge(gate, chunk(bad))
    assert judge(gate, chunk(reach())).outcome is Outcome.ACCEPT, "a good one breaks the row"
    gate = ready_gate(ROBOT)
    for _ in range(3):
        decision = judge(gate, chunk(bad))
    assert gate.state is GateState.LATCHED and gate.cause == "NON_FINITE_OUTPUT"
    assert "call reset" in judge(gate, chunk(reach())).message
    gate.reset()
    assert_unmoved_and_ready(gate, judge(gate, chunk(bad)), decision.code)


@pytest.mark.parametrize(
    "proposal",
    [
        chunk(reach()[:, :6]),
        chunk(reach().ravel()),
        chunk(reach()[None]),
        chunk(np.zeros((0, 7))),
        chunk(reach(), joint_names=ROBOT.arm_joints[:6]),
        chunk(reach(), joint_names=(*ROBOT.arm_joints[:6], "elbow")),
        chunk(reach(), joint_names=(*ROBOT.arm_joints[:6], ROBOT.arm_joints[0])),
        chunk(reach(), joint_names=()),
        chunk(reach(), gripper_m=np.full(3, 0.04)),
        chunk(reach(), gripper_m=np.full((16, 2), 0.04)),
        *(chunk(reach(), step_period_s=p) for p in (0.0, -0.1, 1e-6, 60.0, np.nan, np.inf)),
        chunk(reach(), execute_steps=17),
        chunk(reach(), execute_steps=-1),
        chunk(np.tile(HOME, (200, 1)), step_period_s=2.0),
    ],
)
def test_row_05_malformed_chunk(proposal):
    gate = ready_gate(ROBOT)
    assert_unmoved_and_ready(gate, judge(gate, proposal), "INVALID_REQUEST")


def test_row_05_a_million_steps_cost_nothing():
    gate = ready_gate(ROBOT)
    huge = replace(chunk(reach()), positions_rad=np.broadcast_to(HOME, (10**6, 7)))
    started = time.perf_counter()
    decision = judge(gate, huge)
    assert time.perf_counter() - started < 0.05
    assert_unmoved_and_ready(gate, decision, "INVALID_REQUEST")


def test_row_06_degrees_instead_of_radians():
    gate = ready_gate(ROBOT)
    decision = judge(gate, chunk(np.degrees(reach())))
    assert_unmoved_and_ready(gate, decision, "DISCONTINUITY", "LIMIT_VIOLATION")


def test_row_06_gripper_in_percent():
    gate = ready_gate(ROBOT)
    decision = judge(gate, chunk(reach(), gripper_m=np.full(16, 100.0)))
    assert_unmoved_and_ready(gate, decision, "LIMIT_VIOLATION")


# -- motion limits -------------------------------------------------------------------------------


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("jump", [0.2, -0.2, 3.0])
def test_row_07_start_jump(joint, jump):
    positions = reach(by_rad=0.02)
    positions[:, joint] += jump
    gate = ready_gate(ROBOT)
    assert_unmoved_and_ready(gate, judge(gate, chunk(positions)), "DISCONTINUITY")


@given(st.integers(1, 14), st.integers(0, 6), st.sampled_from([0.3, -0.3, 1.0, 1e300]))
@settings(max_examples=30)
def test_row_07_spike_inside_the_chunk(step, joint, spike):
    positions = reach(by_rad=0.1)
    positions[step, joint] += spike
    gate = ready_gate(ROBOT)
    assert_unmoved_and_ready(gate, judge(gate, chunk(positions)), "DISCONTINUITY")


@pytest.mark.parametrize("joint", range(7))
def test_row_08_ten_times_too_fast_is_slowed_along_the_same_path(joint):
    period = 0.01
    by = 10 * LIMITS.velocity_rad_s[joint] * period * 4
    positions = reach(by_rad=-by if joint in (1, 5) else by, steps=8, joint=joint)
    gate = ready_gate(ROBOT, max_stretch=50.0)
    decision = judge(gate, chunk(positions, step_period_s=period))
    if decision.code == "DISCONTINUITY":
        pytest.fail("the steps are too long for this test")
    assert decision.outcome is Outcome.LIMIT and gate.state is GateState.LIMITING
    assert decision.stretch > 3 and "slowed" in decision.message
    run = commanded(ROBOT, decision.arm, HOME)
    assert run.broken_rule(ROBOT) == ""
    np.testing.assert_allclose(run.positions[-1], positions[-1], atol=1e-9)


def test_row_08_too_fast_is_refused_where_slowing_is_not_allowed():
    gate = ready_gate(ROBOT, max_stretch=1.5)
    decision = judge(gate, chunk(reach(by_rad=1.0, steps=8), step_period_s=0.02))
    assert_unmoved_and_ready(gate, decision, "LIMIT_VIOLATION")


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", ["lower_rad", "upper_rad"])
def test_row_09_position_beyond_a_limit(joint, side):
    limit = getattr(LIMITS, side)[joint]
    start = HOME.copy()
    start[joint] = limit - np.sign(limit - HOME[joint]) * 0.05
    positions = np.linspace(start, start, 8)
    positions[:, joint] = np.linspace(start[joint], limit + np.sign(limit - HOME[joint]) * 0.05, 8)
    gate = ready_gate(ROBOT, start)
    decision = gate.submit(chunk(positions), at(ROBOT, start), 0)
    assert decision.code == "LIMIT_VIOLATION" and ROBOT.arm_joints[joint] in decision.message
    assert decision.arm is None and not gate.is_moving(1)


def test_row_09_approaching_a_limit_stops_at_it():
    start = HOME.copy()
    start[0] = LIMITS.upper_rad[0] - 0.2
    positions = np.tile(start, (8, 1))
    positions[:, 0] = np.minimum(start[0] + 0.1 * np.arange(1, 9), LIMITS.upper_rad[0])
    robot = replace(
        ROBOT, workspace_min_m=np.full(3, -1.0), workspace_max_m=np.array([1.0, 1.0, 1.5])
    )
    gate = ready_gate(robot, start)
    decision = gate.submit(chunk(positions), at(ROBOT, start), 0)
    assert decision.outcome is not Outcome.REJECT, decision.message
    run = commanded(ROBOT, decision.arm, start)
    assert run.broken_rule(ROBOT) == "", "the curve may not bulge over the limit"
    assert run.positions[-1, 0] == pytest.approx(LIMITS.upper_rad[0])


@pytest.mark.parametrize(
    "target_m",
    [[0.307, 0.0, -0.05], [0.307, 0.64, 0.3], [0.307, 0.0, 0.65]],
    ids=["below the table", "beside it", "above the box"],
)
def test_row_10_tip_leaves_the_workspace(target_m):
    robot = replace(ROBOT, workspace_max_m=np.array([0.85, 0.6, 0.6]))
    kinematics = Kinematics(ROBOT)
    pose, q, positions = kinematics.tip(HOME), HOME, []
    for share in np.linspace(0, 1, 80)[1:]:
        goal = pose.copy()
        goal[:3, 3] += share * (np.array(target_m) - pose[:3, 3])
        q = kinematics.inverse(goal, q)
        positions.append(q)
    gate = ready_gate(robot)
    decision = judge(gate, chunk(np.array(positions)))
    assert "tip would be at" in decision.message
    assert_unmoved_and_ready(gate, decision, "WORKSPACE_VIOLATION")


def test_row_10_a_link_below_the_table_while_the_tip_is_not():
    robot = replace(  # a table that comes up to the hand
        ROBOT, floor_m=0.3, workspace_min_m=np.array([0.0, -0.6, -1.0])
    )
    gate = ready_gate(robot)
    decision = gate.submit(chunk(reach()), at(ROBOT), 0)
    assert decision.code == "WORKSPACE_VIOLATION" and "link" in decision.message
    assert decision.arm is None


def test_row_12_chunk_boundaries_with_velocity_mismatch():
    joined = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        gate = ready_gate(ROBOT)
        to = HOME + np.linspace(0, 1, 17)[1:, None] * rng.uniform(-0.15, 0.15, 7)
        first = judge(gate, chunk(to))
        arm = JointTrajectoryController(ROBOT.arm_joints)
        arm.set_initial(HOME)
        arm.accept(first.arm, 0.0)
        now_s = rng.uniform(0.1, 0.9) * first.duration_s
        now_ns = round(now_s * 1e9)
        here, speed, _ = arm.commanded(now_s)
        steps = here + np.cumsum(rng.normal(0, 0.01, (12, 7)) + 0.1 * speed, axis=0)
        second = gate.submit(chunk(steps, now_ns, sequence=2), at(ROBOT, here, now_ns), now_ns)
        if second.outcome is not Outcome.REJECT:
            joined += 1
            arm.accept(second.arm, now_s)
            np.testing.assert_allclose(arm.commanded(now_s)[1], speed, atol=1e-9)
        end_s = now_s + arm.remaining_s(now_s) + 0.05
        assert sampled(arm, now_s, end_s, 0.005).broken_rule(ROBOT) == "", seed
    assert joined >= 70


def test_row_13_a_corner_in_the_path_is_slowed():
    steps = np.tile(HOME, (16, 1))
    steps[:8, 0] += np.linspace(0.02, 0.16, 8)  # first joint 1, then joint 2: C0 in between
    steps[8:, 0] += 0.16
    steps[8:, 1] += np.linspace(0.02, 0.16, 8)
    gate = ready_gate(ROBOT)
    decision = judge(gate, chunk(steps, step_period_s=0.03))
    assert decision.outcome is Outcome.LIMIT
    run = commanded(ROBOT, decision.arm, HOME)
    assert run.broken_rule(ROBOT) == ""
    corner = HOME + np.r_[0.16, np.zeros(6)]
    assert np.abs(run.positions - corner).max(axis=1).min() < 0.01, "it passes through the corner"


# -- requests that reach the gate ----------------------------------------------------------------


@pytest.mark.parametrize("scale", [np.nan, np.inf, 0.0, -0.5, 2.0])
def test_row_49_speed_scale_outside_its_range(scale):
    gate = ready_gate(ROBOT)
    decision = gate.submit(chunk(reach()), at(ROBOT), 0, speed_scale=scale)
    assert_unmoved_and_ready(gate, decision, "INVALID_REQUEST")
