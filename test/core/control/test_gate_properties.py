# SPDX-License-Identifier: Apache-2.0
"""No input whatever makes the gate emit a command outside its limits or raise a foreign error.

A seeded machine throws chunks of any shape, kind, value and time at the gate, between joint
states, stops, resets, alarms and clock jumps. What the gate emits goes to a controller that
interpolates as ros2_control's does, and the whole commanded motion is judged, not what was sent.
"""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.control.decision import GateDecision, GateState, Outcome
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.errors import Mu0Error
from mu0_core.robot.kinematics import Kinematics
from mu0_core.testing.arm_cases import at, chunk_of, ready_gate, roomy_robot, sampled
from mu0_core.types import ActionChunk

ROBOT = roomy_robot()
HOME, LIMITS = ROBOT.home_rad, ROBOT.limits
KINEMATICS = Kinematics(ROBOT)
PERIOD_S, MOVES = 0.004, 16
BETWEEN_POINTS_M = 1e-3  # the tip's box is judged at moments 20 ms apart
ODD_NUMBERS = [0.0, -1.0, 1e-300, 1e300, np.nan, np.inf, -np.inf, 2.0**63]
ODD_ARRAYS = [
    None,
    "seven",
    7.0,
    np.zeros(7),
    np.zeros((0, 7)),
    np.zeros((3, 6)),
    np.zeros((2, 3, 7)),
    np.zeros((4, 7), dtype=complex),
    np.full((4, 7), None),
    np.zeros((4, 7), dtype=bool),
    np.full((4, 7), "x"),
    np.full((4, 7), 2**62),
    np.broadcast_to(HOME, (10**6, 7)),
]


class Arm:
    """A gate, the controller behind it, and a clock that the test turns."""

    def __init__(self) -> None:
        self.gate = ready_gate(ROBOT)
        self.controller = JointTrajectoryController(ROBOT.arm_joints)
        self.controller.set_initial(HOME)
        self.now_s, self.sequence, self.emitted = 0.0, 0, 0

    @property
    def now_ns(self) -> int:
        return round(self.now_s * 1e9)

    def here(self) -> np.ndarray:
        return self.controller.sample(self.now_s)[0]

    def state(self):
        return at(ROBOT, self.here(), self.now_ns)

    def take(self, trajectory) -> None:
        if trajectory is not None:
            self.emitted += 1
            self.controller.accept(trajectory, self.now_s)

    def wait(self, duration_s: float) -> None:
        """Let time pass; judge every instant of it."""
        run = sampled(self.controller, self.now_s, self.now_s + duration_s + 1e-9, PERIOD_S)
        broken = run.broken_rule(ROBOT)
        assert broken in ("", "rest at the end"), broken
        tip = KINEMATICS.tip(run.positions[::5])[:, :3, 3]
        assert np.all(tip >= ROBOT.workspace_min_m - BETWEEN_POINTS_M)
        assert np.all(tip <= ROBOT.workspace_max_m + BETWEEN_POINTS_M)
        for name, frame in KINEMATICS.link_frames(run.positions[::5]).items():
            assert name == ROBOT.base_frame or frame[:, 2, 3].min() >= ROBOT.floor_m - 1e-3
        self.now_s += duration_s
        self.gate.observe(self.state(), self.now_ns)


def some_chunk(arm: Arm, rng: np.random.Generator) -> ActionChunk:
    """Return a chunk that is right in most ways, and now and then wrong in one or two."""
    arm.sequence += 1
    steps = int(rng.integers(1, 40))
    here, speed = arm.controller.sample(arm.now_s)
    period_s = float(rng.choice([0.02, 0.05, 0.1]))
    walk = rng.normal(0, rng.choice([0.001, 0.004, 0.02]), (steps, 7))
    drift = speed * period_s + rng.normal(0, 0.3, 7) * period_s * rng.choice([0.0, 1.0])
    positions = here + np.cumsum(walk + drift, axis=0)
    fields = {
        "step_period_s": period_s,
        "execute_steps": int(rng.integers(0, steps + 1)),
        "gripper_m": rng.uniform(0, 0.08, steps) if rng.random() < 0.5 else None,
        "task_id": bytes([int(rng.integers(2))]) * 16,
    }
    odd = ODD_NUMBERS[int(rng.integers(len(ODD_NUMBERS)))]
    way = int(rng.integers(24))
    if way == 0:
        positions[rng.integers(steps), rng.integers(7)] = odd
    elif way == 1:
        fields["step_period_s"] = odd
    elif way == 2:
        fields["observation_ns"] = arm.now_ns + int(rng.integers(-(2**40), 2**40))
    elif way == 3:
        fields["start_ns"] = arm.now_ns + int(rng.integers(-(2**40), 2**40))
    elif way == 4:
        fields["joint_names"] = tuple(rng.permutation([*ROBOT.arm_joints, "x"])[:7])
    elif way == 5:
        fields["gripper_m"] = np.full(steps, odd)
    elif way == 6:
        fields["execute_steps"] = int(rng.integers(-5, 500))
    elif way == 7:
        positions = np.degrees(positions)
    return chunk_of(ROBOT, positions, arm.now_ns, arm.sequence, **fields)


def one_move(arm: Arm, rng: np.random.Generator) -> None:
    """Do one thing to the gate."""
    gate, kind = arm.gate, int(rng.integers(12))
    if kind <= 5:
        scale = float(rng.choice([1.0, 0.5, 0.1]))
        decision = gate.submit(some_chunk(arm, rng), arm.state(), arm.now_ns, speed_scale=scale)
        assert isinstance(decision, GateDecision)
        assert (decision.arm is None) or decision.outcome is not Outcome.REJECT
        arm.take(decision.arm)
    elif kind == 6:
        arm.take(gate.stop(arm.now_ns))
    elif kind == 7:
        gate.reset()
    elif kind == 8:
        gate.alarm("stop" if rng.random() < 0.5 else "")
        arm.take(gate.stop(arm.now_ns))
        gate.alarm("")
        gate.reset()
    elif kind == 9:
        arm.take(gate.stop(arm.now_ns))
        arm.wait(1.5)
        gate.restart_clock()
    elif kind == 10:
        gate.observe(at(ROBOT, np.full(7, np.nan), arm.now_ns), arm.now_ns)
    elif kind == 11:
        cloud = rng.uniform(-1, 1, (20, 3))
        gate.see_points(cloud if rng.random() < 0.2 else np.zeros((0, 3)), 0.02, arm.now_ns)
    arm.wait(float(rng.choice([0.004, 0.02, 0.1, 0.3, 1.0])))


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_sequence_of_calls_keeps_the_commanded_arm_within_its_limits(seed):
    rng, arm = np.random.default_rng(seed), Arm()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(MOVES):
            one_move(arm, rng)
    end_s = arm.controller.remaining_s(arm.now_s)
    arm.wait(min(end_s, 30.0) + 0.01)
    assert not arm.controller.sample(arm.now_s + 90.0)[1].any(), "at rest without anybody's help"


def test_the_machine_does_move_the_arm():
    emitted = 0
    for seed in range(5):
        rng, arm = np.random.default_rng(seed), Arm()
        for _ in range(MOVES):
            one_move(arm, rng)
        emitted += arm.emitted
    assert emitted >= 10


@pytest.mark.parametrize("field", ["positions_rad", "gripper_m"])
@pytest.mark.parametrize("array", ODD_ARRAYS, ids=lambda a: f"{type(a).__name__}{np.shape(a)}")
def test_arrays_of_any_kind_are_judged_and_not_stumbled_over(field, array):
    arm = Arm()
    good = np.tile(HOME, (4, 1))
    fields = {"positions_rad": good, "gripper_m": None, field: array}
    proposal = ActionChunk(
        joint_names=ROBOT.arm_joints,
        step_period_s=0.1,
        observation_ns=0,
        start_ns=0,
        sequence=1,
        **fields,
    )
    try:
        decision = arm.gate.submit(proposal, arm.state(), 0)
    except Mu0Error as error:
        pytest.fail(f"raised instead of rejecting: {error}")
    harmless = field == "gripper_m" and array is None
    assert (decision.outcome is not Outcome.REJECT) == harmless, decision


@pytest.mark.parametrize("odd", ODD_NUMBERS)
@pytest.mark.parametrize("field", ["step_period_s", "execute_steps", "start_ns", "observation_ns"])
def test_numbers_of_any_kind_are_judged(field, odd):
    arm = Arm()
    number = odd if field == "step_period_s" else int(np.clip(np.nan_to_num(odd), -(2**62), 2**62))
    proposal = chunk_of(ROBOT, np.tile(HOME, (4, 1)), **{field: number})
    decision = arm.gate.submit(proposal, arm.state(), 0)
    assert decision.outcome is not Outcome.REJECT or decision.arm is None
    arm.take(decision.arm)
    arm.wait(2.0)
    assert arm.gate.state is not GateState.LATCHED
