# SPDX-License-Identifier: Apache-2.0
"""No motion that comes too near passes, between samples neither; what keeps clear does pass."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.control.collision_check import FLOOR, CollisionChecker
from mu0_core.control.decision import Outcome
from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.joint_motion import JointMotion
from mu0_core.control.safety_gate import SafetyGate
from mu0_core.control.scene_points import thinned
from mu0_core.errors import ConfigError
from mu0_core.geometry.box import boxes_of
from mu0_core.robot.kinematics import Kinematics
from mu0_core.testing.arm_cases import at, chunk_of, reach, ready_gate, roomy_robot

ROBOT = roomy_robot()
HOME, LIMITS = ROBOT.home_rad, ROBOT.limits
KINEMATICS = Kinematics(ROBOT)
CHECKER = CollisionChecker(KINEMATICS, ROBOT.collision)
POST = boxes_of([{"name": "post", "centre_m": [0.24, 0.24, 0.15], "size_m": [0.04, 0.04, 0.3]}])


def swing(start, end, duration_s: float = 2.0) -> JointMotion:
    """One piece from rest to rest."""
    start, end = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    rest = np.zeros((2, len(start)))
    return JointMotion(np.array([0.0, duration_s]), np.stack([start, end]), rest, rest)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_clearance_of_a_motion_is_never_too_large(seed):
    rng = np.random.default_rng(seed)
    start, end = rng.uniform(LIMITS.lower_rad, LIMITS.upper_rad, (2, 7))
    checker = CollisionChecker(KINEMATICS, ROBOT.collision, POST)
    motion = swing(start, start + (end - start) * rng.uniform(0.05, 1.0), rng.uniform(0.3, 4))
    got = checker.along(motion)
    dense = checker.distances(motion.sample(np.linspace(0, motion.end_s, 400))[0])
    excess = (dense - checker._least).min()
    if got.too_near:  # then it does come too near, but for what refining leaves open
        assert excess < 0.01
    else:
        assert excess >= 0 and got.distance_m - got.least_m <= excess + 1e-9


def test_a_motion_far_from_everything_is_clear_and_says_how_far():
    got = CHECKER.along(swing(HOME, HOME + np.r_[0.3, np.zeros(6)]))
    assert not got.too_near and 0.005 < got.distance_m < 0.1


def test_folding_the_arm_onto_itself_names_both_links():
    folded = HOME.copy()
    folded[[1, 3, 5]] = [-1.6, -3.0, 1.0]
    got = CHECKER.along(swing(HOME, folded))
    assert got.too_near and all(name.startswith("fr3_") for name in got.pair)


def test_a_thin_post_between_two_clear_ends_is_not_jumped_over():
    left, right = HOME - np.r_[0.2, np.zeros(6)], HOME + np.r_[2.0, np.zeros(6)]
    checker = CollisionChecker(KINEMATICS, ROBOT.collision, POST)
    assert not checker.at(left).too_near and not checker.at(right).too_near
    got = checker.along(swing(left, right, 0.3))
    assert got.too_near and got.pair[1] == "post"


def test_an_elbow_below_the_floor_is_seen_although_the_tip_is_above():
    robot = replace(ROBOT, floor_m=0.55)
    got = CollisionChecker(Kinematics(robot), robot.collision).at(HOME)
    assert got.too_near and got.pair[1] == FLOOR


def test_points_are_obstacles_but_not_for_the_tool_nor_where_the_arm_is():
    checker = CollisionChecker(KINEMATICS, ROBOT.collision)
    elbow = KINEMATICS.link_frames(HOME)["fr3_link4"][:3, 3]
    beside = elbow - [0.0, 0.16, 0.0]
    tip = KINEMATICS.tip(HOME)[:3, 3]
    checker.see(np.array([tip]), 0.01)
    assert not checker.at(HOME).too_near, "the tool is there to touch things"
    checker.see(np.array([beside]), 0.01)
    turned = HOME + np.r_[1.0, -0.3, np.zeros(5)]
    assert checker.along(swing(HOME, turned)).too_near
    kept = checker.without_arm(np.array([elbow, beside, [2.0, 0, 0]]), HOME, 0.02)
    np.testing.assert_array_equal(kept, [beside, [2.0, 0, 0]])


@given(st.integers(0, 1000), st.floats(0.005, 0.1))
@settings(max_examples=30, deadline=None)
def test_thinned_points_hold_all_points_in_reach(seed, radius_m):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1, (int(rng.integers(1, 5000)), 3))
    few, larger_m = thinned(points, radius_m, 0.9)
    near = points[np.linalg.norm(points, axis=1) <= 0.9]
    assert len(few) <= 1000
    for point in near[:50]:
        assert np.linalg.norm(few - point, axis=1).min() <= larger_m - radius_m + 1e-9


def test_a_radius_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="point radius"):
        thinned(np.zeros((1, 3)), 0.0, 1.0)


# -- in the gate ---------------------------------------------------------------------------------


def into_the_post(gate: SafetyGate):
    steps = reach(ROBOT, by_rad=1.3, steps=20)
    return gate.submit(chunk_of(ROBOT, steps), at(ROBOT), 0)


def test_the_gate_names_the_pair_and_the_clearance_and_moves_nothing():
    gate = SafetyGate(ROBOT, boxes=POST)
    gate.observe(at(ROBOT), 0)
    decision = into_the_post(gate)
    assert decision.code == "COLLISION_PREDICTED" and decision.arm is None
    assert "post" in decision.message and "allowed 0.01 m" in decision.message
    assert not gate.is_moving(1) and gate.counters["COLLISION_PREDICTED"] == 1
    free = ready_gate(ROBOT)
    passed = into_the_post(free)
    assert passed.outcome is not Outcome.REJECT and passed.clearance_m >= 0.01


def test_the_check_can_be_switched_off_and_then_says_that_it_is_not_done():
    gate = ready_gate(ROBOT, check_collisions=False)
    assert np.isnan(into_the_post(gate).clearance_m) and np.isnan(gate.clearance_m(HOME))
    with pytest.raises(ConfigError, match="post.*check_collisions"):
        SafetyGate(ROBOT, GateSettings(check_collisions=False), POST)


def test_points_that_are_required_must_be_there_and_fresh():
    gate = ready_gate(ROBOT, require_points=True, max_points_age_s=0.5)
    good = chunk_of(ROBOT, reach(ROBOT))
    missing = gate.submit(good, at(ROBOT), 0)
    assert missing.code == "NOT_READY" and "points" in missing.message
    gate.see_points(np.array([[2.0, 0.0, 0.0]]), 0.02, 0)
    assert gate.submit(good, at(ROBOT), 0, dry_run=True).outcome is Outcome.ACCEPT
    later = 10**9
    stale = gate.submit(
        chunk_of(ROBOT, reach(ROBOT), later, sequence=2), at(ROBOT, now_ns=later), later
    )
    assert stale.code == "OBSERVATION_STALE" and "points" in stale.message


def test_points_in_the_way_reject_a_chunk_until_they_are_gone():
    gate = ready_gate(ROBOT)
    elbow = KINEMATICS.link_frames(HOME)["fr3_link4"][:3, 3]
    gate.see_points(elbow - np.array([[0.0, 0.16, 0.0]]), 0.02, 0)
    steps = chunk_of(
        ROBOT, reach(ROBOT, by_rad=1.0) + np.linspace(0, -0.3, 17)[1:, None] * np.eye(7)[1]
    )
    assert gate.submit(steps, at(ROBOT), 0).code == "COLLISION_PREDICTED"
    gate.see_points(np.zeros((0, 3)), 0.02, 0)
    assert gate.submit(steps, at(ROBOT), 0).outcome is not Outcome.REJECT
