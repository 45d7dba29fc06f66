# SPDX-License-Identifier: Apache-2.0
"""The gate as a whole: whatever goes in, what comes out keeps the limits and ends at rest."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.control.decision import GateState, Outcome
from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.control.safety_gate import SafetyGate
from mu0_core.errors import ConfigError
from mu0_core.robot.kinematics import Kinematics
from mu0_core.testing import arm_cases
from mu0_core.testing.arm_cases import at, chunk_of, commanded, ready_gate, roomy_robot, sampled

ROBOT = roomy_robot()
HOME, LIMITS = ROBOT.home_rad, ROBOT.limits
SECOND = 10**9
gate = partial(ready_gate, ROBOT)
state = partial(at, ROBOT)
chunk = partial(chunk_of, ROBOT)
reach = partial(arm_cases.reach, ROBOT)


# -- laws ----------------------------------------------------------------------------------------


@st.composite
def wild_chunks(draw):
    """Random walks around a start, some of them impossible in one way or another."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    steps = draw(st.integers(1, 60))
    start = HOME + rng.uniform(-0.15, 0.15, 7)
    walk = rng.normal(0, draw(st.sampled_from([0.003, 0.02, 0.1])), (steps, 7))
    drift = rng.normal(0, 1, 7) * draw(st.sampled_from([0.0, 0.01, 0.03]))
    positions = start + np.cumsum(walk + drift, axis=0)
    if draw(st.booleans()):
        positions = np.clip(positions, LIMITS.lower_rad, LIMITS.upper_rad)
    return start, chunk(
        positions,
        step_period_s=draw(st.sampled_from([0.005, 0.02, 0.05, 0.1, 0.5])),
        execute_steps=draw(st.integers(0, steps)),
        gripper_m=rng.uniform(0, 0.08, steps) if draw(st.booleans()) else None,
    )


@given(wild_chunks(), st.sampled_from([1.0, 0.3]))
@settings(max_examples=150, deadline=None)
def test_whatever_goes_in_the_limits_hold_at_every_instant(wild, speed_scale):
    start, proposal = wild
    decision = gate(start).submit(proposal, state(start), 0, speed_scale=speed_scale)
    if decision.outcome is Outcome.REJECT:
        assert decision.arm is None and decision.gripper is None
        return
    run = commanded(ROBOT, decision.arm, start)
    assert run.broken_rule(ROBOT) == ""
    path = run.positions
    last = proposal.execute_steps or len(proposal.positions_rad)
    np.testing.assert_allclose(path[-1], proposal.positions_rad[last - 1], atol=1e-9)
    tip = Kinematics(ROBOT).tip(path)[:, :3, 3]
    assert np.all(tip >= ROBOT.workspace_min_m - 1e-3)
    assert np.all(tip <= ROBOT.workspace_max_m + 1e-3)


def test_the_property_test_is_not_vacuous():
    accepted = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        positions = HOME + np.cumsum(rng.normal(0, 0.01, (16, 7)), axis=0)
        accepted += gate().submit(chunk(positions), state(), 0).outcome is not Outcome.REJECT
    assert accepted >= 30


JITTER_S = (0.0, -0.05, 0.05)


def at_offset(decision, now_s: float, offset_s: float):
    """A controller that runs an accepted motion and is this much ahead of the gate."""
    c = JointTrajectoryController(ROBOT.arm_joints)
    c.set_initial(HOME)
    c.accept(decision.arm, -offset_s)
    return c


@given(st.integers(0, 10_000), st.floats(0.02, 0.98))
@settings(max_examples=80, deadline=None)
def test_a_stop_at_any_moment_keeps_the_limits_and_is_short(seed, when):
    rng = np.random.default_rng(seed)
    positions = HOME + np.linspace(0, 1, 17)[1:, None] * rng.uniform(-0.5, 0.5, 7)
    g = gate()
    decision = g.submit(chunk(positions), state(), 0)
    if decision.arm is None:
        return
    now_s = when * decision.duration_s
    brake = g.stop(round(now_s * SECOND))
    for offset_s in JITTER_S:
        c = at_offset(decision, now_s, offset_s)
        here = c.commanded(now_s)
        if brake is None:  # then the motion ends by itself as soon
            assert c.remaining_s(now_s) <= 0.6 or not np.any(np.abs(here[1]) > 1e-6)
            continue
        assert brake.times_s[-1] <= 0.5
        c.accept(brake, now_s)
        for now, then in zip(c.commanded(now_s), here):  # position, velocity, acceleration
            np.testing.assert_allclose(now, then, atol=1e-9)
        run = sampled(c, now_s, now_s + brake.times_s[-1] + 0.05)
        assert run.broken_rule(ROBOT) == "", f"controller ahead by {offset_s} s"
    assert g.queue_s(round((now_s + 0.6) * SECOND)) == 0


@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
@settings(max_examples=60, deadline=None)
def test_a_chunk_that_replaces_a_motion_joins_it_smoothly(seed, when):
    rng = np.random.default_rng(seed)
    g = gate()
    first = g.submit(chunk(reach(by_rad=rng.uniform(-0.3, 0.3))), state(), 0)
    now_s = when * first.duration_s
    now_ns = round(now_s * SECOND)
    here, speed, _ = at_offset(first, now_s, 0.0).commanded(now_s)
    target = here + speed * 0.4 + rng.uniform(-0.05, 0.05, 7)
    steps = here + np.linspace(0, 1, 11)[1:, None] * (target - here)
    decision = g.submit(chunk(steps, now_ns=now_ns, sequence=2), state(here, now_ns), now_ns)
    if decision.outcome is Outcome.REJECT:
        assert decision.code == "LIMIT_VIOLATION"
        return
    for offset_s in JITTER_S:
        c = at_offset(first, now_s, offset_s)
        before = c.commanded(now_s)
        c.accept(decision.arm, now_s)
        for now, then in zip(c.commanded(now_s), before):  # position, velocity, acceleration
            np.testing.assert_allclose(now, then, atol=1e-9)
        run = sampled(c, now_s, now_s + decision.duration_s + 0.05)
        assert run.broken_rule(ROBOT) == "", f"controller ahead by {offset_s} s"


# -- outcomes ------------------------------------------------------------------------------------


def test_a_typical_chunk_passes_nearly_unslowed():
    decision = gate().submit(chunk(reach(), execute_steps=8), state(), 0)
    assert (decision.outcome, decision.code) == (Outcome.ACCEPT, "SUCCESS")
    assert decision.duration_s < 1.3 * 0.8
    path = commanded(ROBOT, decision.arm, HOME).positions
    assert path[-1, 0] == pytest.approx(HOME[0] + 0.15)


def test_columns_are_taken_by_name():
    order = np.random.default_rng(0).permutation(7)
    positions = reach(joint=3, by_rad=0.2)
    shuffled = chunk(positions[:, order], joint_names=tuple(ROBOT.arm_joints[i] for i in order))
    straight = gate().submit(chunk(positions), state(), 0).arm
    np.testing.assert_allclose(
        gate().submit(shuffled, state(), 0).arm.positions, straight.positions
    )


def test_dry_run_checks_and_commands_nothing():
    g = gate(dry_run=True)
    decision = g.submit(chunk(reach()), state(), 0)
    assert decision.outcome is Outcome.ACCEPT and decision.arm is None and not g.is_moving(1)
    g = gate()
    assert g.submit(chunk(reach()), state(), 0, dry_run=True).arm is None and not g.is_moving(1)


def test_gripper_moves_with_the_arm_and_out_of_range_is_refused():
    opening = np.r_[np.full(8, 0.08), np.zeros(8)]
    decision = gate().submit(chunk(reach(), gripper_m=opening), state(), 0)
    assert decision.gripper.joint_names == (ROBOT.gripper.joint,)
    assert decision.gripper.positions[-1, 0] == 0.0
    for bad in (0.0801, -0.001, 80.0):
        refused = gate().submit(chunk(reach(), gripper_m=np.full(16, bad)), state(), 0)
        assert refused.code == "LIMIT_VIOLATION" and "gripper" in refused.message


@pytest.mark.parametrize("scale", [np.nan, 0.0, -1.0, 2.0, np.inf])
def test_speed_scale_outside_its_range_is_refused(scale):
    decision = gate().submit(chunk(reach()), state(), 0, speed_scale=scale)
    assert decision.code == "INVALID_REQUEST" and decision.arm is None


def test_speed_scale_slows_a_fast_chunk():
    fast = chunk(reach(by_rad=1.2))
    full = gate().submit(fast, state(), 0)
    slow = gate().submit(fast, state(), 0, speed_scale=0.25)
    assert slow.duration_s > 2 * full.duration_s
    assert np.abs(slow.arm.velocities).max() <= 0.25 * LIMITS.velocity_rad_s.max()


def test_a_sequence_never_goes_back_within_a_task():
    g = gate()
    g.submit(chunk(reach(), sequence=7, task_id=b"a" * 16), state(), 0)
    later = 3 * SECOND
    here = reach()[-1]
    g.observe(state(here, later), later)
    again = chunk(reach(start_rad=here), later, sequence=7, task_id=b"a" * 16)
    assert g.submit(again, state(here, later), later).code == "DISCONTINUITY"
    other = chunk(reach(start_rad=here), later, sequence=1, task_id=b"b" * 16)
    assert g.submit(other, state(here, later), later).outcome is not Outcome.REJECT


# -- states --------------------------------------------------------------------------------------


def test_no_state_no_motion():
    g = SafetyGate(ROBOT)
    assert g.submit(chunk(reach()), None, 0).code == "NOT_READY"


def test_arming_needs_healthy_joint_states():
    g = gate(arming_s=1.0)
    assert g.submit(chunk(reach()), state(), 0).code == "NOT_READY"
    now = 2 * SECOND
    g.observe(state(now_ns=now), now)
    g.readiness.bad_states()
    g.observe(state(now_ns=now), now)
    assert g.submit(chunk(reach(), now), state(now_ns=now), now).code == "NOT_READY"
    now = 4 * SECOND
    g.observe(state(now_ns=now), now)
    assert g.submit(chunk(reach(), now), state(now_ns=now), now).outcome is Outcome.ACCEPT


def test_allowed_age_shrinks_with_speed():
    g = gate(max_observation_age_s=0.1, max_observation_age_at_rest_s=2.0)
    late = round(1.5 * SECOND)
    at_rest = chunk(reach(), observation_ns=0, start_ns=late)
    assert g.submit(at_rest, state(now_ns=late), late).outcome is Outcome.ACCEPT
    moving = late + SECOND // 2
    here, speed = g.commanded.arm.sample(moving * 1e-9)
    share = np.max(np.abs(speed) / LIMITS.velocity_rad_s)
    allowed = 2.0 - 1.9 * share
    for age, good in ((allowed - 0.02, True), (allowed + 0.02, False)):
        proposal = chunk(
            reach(start_rad=here), moving, sequence=2, observation_ns=moving - round(age * SECOND)
        )
        decision = g.submit(proposal, state(here, moving), moving, dry_run=True)
        assert (decision.code == "OBSERVATION_STALE") is not good, decision.message
        g._last_sequence = 1


def test_steps_meant_for_the_past_are_skipped_in_motion():
    g = gate()
    g.submit(chunk(reach()), state(), 0)
    now = SECOND // 2
    here, speed = g.commanded.arm.sample(0.5)
    steps = here + speed * 0.1 * (np.arange(1, 17)[:, None] - 3)  # three of them are over by now
    proposal = chunk(steps, now, sequence=2, execute_steps=8, start_ns=now - round(0.35 * SECOND))
    decision = g.submit(proposal, state(here, now), now)
    assert decision.outcome is Outcome.ACCEPT, decision.message
    assert decision.duration_s == pytest.approx(0.5 + 0.1)
    np.testing.assert_allclose(decision.arm.positions[-1], steps[7], atol=1e-9)
    over = chunk(steps, now, sequence=3, execute_steps=2, start_ns=now - SECOND)
    assert g.submit(over, state(here, now), now).code == "OBSERVATION_STALE"


def test_a_judgement_that_took_too_long_changes_nothing_of_a_motion():
    g = gate()
    assert g.submit(chunk(reach()), state(), 0, clock=lambda: SECOND).arm is not None  # at rest
    now = SECOND // 2
    here, speed = g.commanded.arm.sample(0.5)
    steps = here + speed * 0.1 * np.arange(1, 9)[:, None]
    after = g.commanded.arm.sample(0.8)
    for late_ns, good in ((round(0.06 * SECOND), False), (round(0.04 * SECOND), True)):
        proposal = chunk(steps, now, sequence=2)
        decision = g.submit(proposal, state(here, now), now, clock=lambda t=late_ns: now + t)
        assert (decision.outcome is not Outcome.REJECT) is good, decision.message
        if not good:
            assert decision.code == "OBSERVATION_STALE" and "needed 0.060 s" in decision.message
            np.testing.assert_array_equal(g.commanded.arm.sample(0.8), after)


def test_a_stop_that_was_planned_too_late_is_planned_anew_from_where_the_arm_is():
    g, late = gate(), gate()
    for one in (g, late):
        one.submit(chunk(reach()), state(), 0)
    asked, then = SECOND // 2, round(0.7 * SECOND)
    times = iter((then, then))
    found = late.stop(asked, clock=lambda: next(times))
    wanted = g.stop(then)
    np.testing.assert_array_equal(found.positions, wanted.positions)
    assert late.queue_s(then) == g.queue_s(then)


def test_tracking_error_latches_until_reset():
    g = gate()
    g.submit(chunk(reach()), state(), 0)
    now = SECOND
    g.observe(state(now_ns=now), now)  # the arm has not moved
    assert g.state is GateState.LATCHED and g.cause == "TRACKING_ERROR"
    brake = g.stop(now)
    assert brake is None or not brake.velocities[-1].any()
    later = 4 * SECOND
    g.observe(state(now_ns=later), later)
    assert g.submit(chunk(reach(), later, 2), state(now_ns=later), later).code == "TRACKING_ERROR"
    g.reset()
    g.observe(state(now_ns=later), later)
    decision = g.submit(chunk(reach(), later, 2), state(now_ns=later), later)
    assert decision.outcome is Outcome.ACCEPT and g.state is GateState.PASSING


@pytest.mark.parametrize("late_s", [1.0, 3.0])
def test_joint_states_that_come_late_are_compared_with_the_command_of_their_time(late_s):
    g = gate()
    g.submit(chunk(reach()), state(), 0)
    middle = SECOND // 2
    there = g.commanded.state(middle)[0]
    now = middle + round(late_s * SECOND)  # the second time after the motion
    assert g.commanded.error_rad(there, now) > g.settings.max_tracking_error_rad
    held = g.commanded.state(now)[0]
    g.observe(state(there, now_ns=middle), now)
    assert g.state is GateState.PASSING
    np.testing.assert_array_equal(g.commanded.state(now)[0], held)


def test_an_arm_that_was_blocked_latches_though_its_joint_states_come_after_the_motion():
    g = gate()
    decision = g.submit(chunk(reach()), state(), 0)
    end = round(float(decision.arm.times_s[-1]) * SECOND)
    g.observe(state(now_ns=end - SECOND // 10), end + SECOND // 2)
    assert g.state is GateState.LATCHED and g.cause == "TRACKING_ERROR"


def test_an_arm_moved_by_hand_at_rest_is_the_new_start():
    g = gate()
    moved = HOME + np.r_[0.4, np.zeros(6)]
    assert g.submit(chunk(reach(start_rad=moved)), state(moved), 0).code == "TRACKING_ERROR"
    g.observe(state(moved), 0)
    assert g.submit(chunk(reach(start_rad=moved)), state(moved), 0).outcome is Outcome.ACCEPT


def test_stop_at_rest_does_nothing_and_in_motion_holds():
    g = gate()
    assert g.stop(0) is None and g.state is GateState.IDLE
    g.submit(chunk(reach()), state(), 0)
    assert g.stop(SECOND // 2, "OBSERVATION_STALE", "why") is not None
    assert (g.state, g.cause, g.cause_message) == (GateState.HOLDING, "OBSERVATION_STALE", "why")


def test_a_clock_jump_keeps_the_latch_and_the_counters():
    g = gate()
    for k in range(3):
        g.submit(chunk(np.full((4, 7), np.nan), sequence=k), state(), 0)
    g.restart_clock()
    assert g.state is GateState.LATCHED and g.counters["reject"] == 3
    g.reset()
    back = -10 * SECOND
    g.observe(state(now_ns=back), back)
    assert g.submit(chunk(reach(), back), state(now_ns=back), back).outcome is Outcome.ACCEPT


def test_a_protective_stop_latches_until_it_is_over_and_reset():
    g = gate()
    g.submit(chunk(reach()), state(), 0)
    g.alarm("robot says stop")
    assert g.state is GateState.LATCHED and g.stop(SECOND // 2) is not None
    assert not g.reset() and g.submit(chunk(reach()), state(), 0).code == "PROTECTIVE_STOP"
    g.alarm("")
    assert g.state is GateState.LATCHED, "nothing goes on by itself"
    assert g.reset() and g.state is GateState.IDLE


def test_a_hindrance_refuses_every_chunk_while_it_lasts():
    g = gate()
    g.readiness.hindrances = {"other": ("NOT_READY", "/rogue also commands the arm")}
    refused = g.submit(chunk(reach()), state(), 0)
    assert (refused.code, refused.message) == ("NOT_READY", "/rogue also commands the arm")
    g.readiness.hindrances = {}
    assert g.submit(chunk(reach()), state(), 0).outcome is Outcome.ACCEPT


def test_a_stop_is_never_refused_for_what_came_near_meanwhile():
    g = gate()
    decision = g.submit(chunk(reach()), state(), 0)
    now = SECOND // 2
    g._planner.body.see(np.array([[0.0, 0.0, 0.5]]), 0.1)  # in the middle of the arm
    assert g.submit(chunk(reach(), now, 2), state(now_ns=now), now).outcome is Outcome.REJECT
    brake = g.stop(now)
    assert brake is not None and brake.times_s[-1] < decision.duration_s - 0.5


def test_a_chunk_at_the_very_start_of_a_motion_joins_it_too():
    g = gate()
    first = g.submit(chunk(reach()), state(), 0)
    now = 2_000_000  # 2 ms later the arm hardly moves, but its acceleration has begun to rise
    decision = g.submit(chunk(reach(joint=3), now, 2), state(now_ns=now), now)
    assert decision.outcome is not Outcome.REJECT, decision
    for offset_s in JITTER_S:
        c = at_offset(first, now * 1e-9, offset_s)
        c.accept(decision.arm, now * 1e-9)
        run = sampled(c, now * 1e-9, decision.duration_s + 0.05)
        assert run.broken_rule(ROBOT) == "", f"controller ahead by {offset_s} s"


def test_counters_tell_outcomes_and_reasons():
    g = gate()
    g.submit(chunk(reach()), state(), 0)
    g.submit(chunk(np.full((4, 7), np.nan)), state(), 0)
    g.submit(chunk(np.zeros((4, 3))), state(), 0)
    assert g.counters == {"accept": 1, "reject": 2, "NON_FINITE_OUTPUT": 1, "INVALID_REQUEST": 1}


@pytest.mark.parametrize(
    "field",
    [
        {"max_stretch": 0.5},
        {"speed_scale": 1.5},
        {"limit_share": 2.0},
        {"ramp_s": np.nan},
        {"max_steps": 0},
    ],
)
def test_settings_out_of_range_are_refused(field):
    with pytest.raises(ConfigError, match=next(iter(field))):
        GateSettings(**field)
