# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue over ROS, all nodes in one process, fakes as models."""

import math

import numpy as np
import pytest
from mu0.msg import TaskStatus, TraceArray
from mu0.srv import ExecuteTask
from std_srvs.srv import Trigger

from mu0_core.testing.fakes import FakeExpert, FakeForecaster, FakeSelector
from mu0_core.types import CameraIntrinsics, RgbdFrame
from mu0_ros import qos
from mu0_ros.conversions.trace import msg_from_forecast
from mu0_ros.task_states import ENDED, RUNNING
from mu0_ros.testing.fault_loop import FaultLoop, swap
from mu0_ros.testing.mock_robot import CAMERA_FRAME

S = TaskStatus
QUICK = {"trace_forecaster": {"max_image_age_s": 0.4}}


@pytest.fixture
def loop(request, note_rest):
    with FaultLoop(getattr(request, "param", QUICK)) as fault_loop:
        yield fault_loop
        if fault_loop.rest_s is not None:
            note_rest(fault_loop.rest_s)


def holds_and_resumes(loop: FaultLoop, fault: dict, code: str, words: str = "") -> None:
    """Break the robot's data in motion: rest, the cause told, no new command; then it goes on."""
    loop.start_and_move()
    healthy = {name: getattr(loop.robot.faults, name) for name in fault}
    vars(loop.robot.faults).update(fault)
    loop.wait_for_rest()
    told = loop.wait_for_cause(code)
    cause = told.error if isinstance(told, TaskStatus) else told.cause
    assert words in cause.message
    assert loop.status[-1].state in RUNNING, "what may clear does not end a task at once"
    commands = len(loop.robot.accepted)
    loop.bench.spin_for(0.3)
    assert len(loop.robot.accepted) == commands and loop.robot.at_rest
    vars(loop.robot.faults).update(healthy)
    loop.wait_for_round()
    loop.judge()


# -- numbers in ----------------------------------------------------------------------------------


def good_traces(loop: FaultLoop, task_id) -> TraceArray:
    frame = RgbdFrame(
        np.zeros((120, 160, 3), np.uint8),
        np.ones((120, 160), np.float32),
        CameraIntrinsics(160, 120, 130.0, 130.0, 79.5, 59.5),
        CAMERA_FRAME,
        loop.bench.probe.get_clock().now().nanoseconds,
    )
    query = FakeSelector().select(frame, 4)
    return msg_from_forecast(FakeForecaster().forecast(frame, "push", query, sequence=1), task_id)


def spoil(message: TraceArray, field: str, value: float) -> None:
    if field == "num_control_points":
        message.num_control_points = int(value)
    elif field == "knots order":
        message.knots[5], message.knots[6] = message.knots[6], message.knots[4]
        message.knots[4] = 0.9
    elif field == "degree":
        message.degree = int(value)
    else:
        getattr(message, field)[3] = value


def test_row_02_broken_traces_are_dropped_and_the_next_good_ones_serve():
    with FaultLoop(QUICK, without=("trace_forecaster",)) as loop:
        publisher = loop.bench.probe.create_publisher(TraceArray, "traces", qos.NEWEST)
        loop.bench.until(lambda: publisher.get_subscription_count() >= 3, what="listeners")
        task_id = loop.start().task_id
        expert = loop.nodes["action_expert"]
        cases = [
            (field, value)
            for field in ("control_points", "knots", "valid_until")
            for value in (math.nan, math.inf, -math.inf)
        ]
        cases += [("num_control_points", 3), ("knots order", 0.0), ("degree", 12)]
        for field, value in cases:
            broken = good_traces(loop, task_id)
            spoil(broken, field, value)
            before = sum(expert.counters.values())
            publisher.publish(broken)
            loop.bench.until(
                lambda n=before: sum(expert.counters.values()) > n, what=f"{field} = {value}"
            )
        assert loop.chunks == [] and loop.robot.accepted == []
        loop.cancel()
        loop.wait_for_end()
        task_id = loop.start().task_id
        publisher.publish(good_traces(loop, task_id))
        loop.wait_for_motion()
        loop.wait_for_rest(1.5)  # the whole motion of one good forecast
        loop.cancel()
        loop.wait_for_end()
        loop.judge(new_task=False)


def test_row_03_no_depth_at_all_holds_and_resumes(loop):
    holds_and_resumes(loop, {"depth_scale": math.nan}, "NO_QUERY_POINTS")


# -- observations --------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [("colour",), ("depth",), ("colour", "depth")], ids="+".join)
def test_row_14_images_stop(loop, streams):
    holds_and_resumes(loop, dict.fromkeys(streams, False), "OBSERVATION_STALE", "no new pair")


@pytest.mark.parametrize("lost", [0.05, 0.5])
def test_row_14_images_are_lost_now_and_then(lost):
    with FaultLoop() as loop:
        loop.robot.faults.lost = lost
        loop.start_and_move()
        for _ in range(2):
            loop.wait_for_round()
        assert loop.status[-1].state in RUNNING
        loop.judge()


def test_row_15_the_camera_repeats_its_last_stamp(loop):
    holds_and_resumes(loop, {"frozen": True}, "OBSERVATION_STALE", "no new pair")


@pytest.mark.parametrize("offset_s", [50.0, -1e12, -1e6], ids=["future", "zero", "another clock"])
def test_row_16_stamps_that_cannot_be(loop, offset_s):
    holds_and_resumes(loop, {"stamp_offset_s": offset_s}, "OBSERVATION_INVALID", "node clock")


def test_row_17_depth_in_another_frame(loop):
    holds_and_resumes(loop, {"depth_frame": "depth"}, "OBSERVATION_INVALID", "register depth")


def test_row_19_calibration_is_lost(loop):
    holds_and_resumes(loop, {"calibrated": False}, "OBSERVATION_INVALID", "not calibrated")


def test_row_20_depth_becomes_millimetres(loop):
    holds_and_resumes(loop, {"depth_scale": 1000.0}, "OBSERVATION_INVALID", "1000")


def test_row_21_joint_states_stop_in_motion(loop):
    holds_and_resumes(loop, {"joints": False}, "OBSERVATION_STALE", "no joint states")


# -- inference -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "attribute"), [("trace_forecaster", "_forecaster"), ("action_expert", "_expert")]
)
def test_row_33_inference_slower_than_the_chunk_rests_in_between(loop, node, attribute):
    slow = FakeForecaster("delay") if node == "trace_forecaster" else None
    slow = slow or FakeExpert(loop.robot.robot, "delay")
    loop.start_and_move()
    swap(loop, node, attribute, slow)
    loop.wait_for_rest()
    loop.wait_for_round()
    assert loop.status[-1].state in RUNNING
    loop.judge()


HANGING = {
    "trace_forecaster": {"inference_timeout_s": 2.0},
    "action_expert": {"inference_timeout_s": 2.0},
    "task_server": {"inference_timeout_s": 1.0},
}


@pytest.mark.parametrize("loop", [HANGING], indirect=True)
@pytest.mark.parametrize("node", ["trace_forecaster", "action_expert"])
def test_row_33_inference_never_comes_back(loop, node):
    loop.start_and_move()
    if node == "trace_forecaster":
        restore = swap(loop, node, "_forecaster", FakeForecaster("hang"))
    else:
        restore = swap(loop, node, "_expert", FakeExpert(loop.robot.robot, "hang"))
    loop.wait_for_rest()
    end = loop.wait_for_end()
    assert end.state == S.STATE_ABORTED
    loop.wait_for_cause("INFERENCE_TIMEOUT")
    restore()
    loop.bench.until(lambda: not loop.nodes[node]._worker.busy, 5.0, "the hung job is left behind")
    loop.judge()


@pytest.mark.parametrize(
    ("fault", "code"), [("exception", "INFERENCE_FAILED"), ("out_of_memory", "OUT_OF_MEMORY")]
)
@pytest.mark.parametrize("node", ["trace_forecaster", "action_expert"])
def test_row_34_inference_fails(loop, node, fault, code):
    loop.start_and_move()
    if node == "trace_forecaster":
        restore = swap(loop, node, "_forecaster", FakeForecaster(fault))
    else:
        restore = swap(loop, node, "_expert", FakeExpert(loop.robot.robot, fault))
    loop.wait_for_rest()
    loop.wait_for_cause(code)
    end = loop.wait_for_end()
    assert end.state == S.STATE_ABORTED and "injected fault" in end.error.message
    restore()
    loop.judge()


def test_row_34_one_failure_is_forgiven(loop):
    loop.start_and_move()
    swap(loop, "trace_forecaster", "_forecaster", FakeForecaster("exception:1"))
    loop.wait_for_cause("INFERENCE_FAILED")
    loop.wait_for_round()
    assert loop.status[-1].state in RUNNING
    loop.judge()


def test_row_01_chunks_with_nan_latch_the_gate_and_reset_serves_again(loop):
    loop.start_and_move()
    restore = swap(loop, "action_expert", "_expert", FakeExpert(loop.robot.robot, "nan"))
    loop.wait_for_rest()
    loop.wait_for_cause("NON_FINITE_OUTPUT")
    assert loop.wait_for_end().state == S.STATE_ABORTED
    restore()
    answer = loop.bench.call(Trigger, "safety_gate/reset", Trigger.Request())
    assert answer.success
    loop.judge()


def test_row_07_chunks_that_start_elsewhere_are_rejected(loop):
    loop.start_and_move()
    restore = swap(loop, "action_expert", "_expert", FakeExpert(loop.robot.robot, "jump"))
    loop.wait_for_rest()
    commands = len(loop.robot.accepted)
    loop.wait_for_cause("DISCONTINUITY")
    assert loop.wait_for_end().state == S.STATE_ABORTED
    assert len(loop.robot.accepted) == commands
    restore()
    loop.judge()


def test_row_40_a_blocked_arm_latches(loop):
    loop.start_and_move()
    loop.robot.faults.blocked = True
    loop.wait_for_rest()
    if not loop.safety[-1].state == loop.safety[-1].STATE_LATCHED:
        loop.wait_for_cause("TRACKING_ERROR")
    assert loop.wait_for_end().state == S.STATE_ABORTED
    loop.robot.faults.blocked = False
    loop.bench.call(Trigger, "safety_gate/reset", Trigger.Request())
    loop.judge()


# -- tasks ---------------------------------------------------------------------------------------


def cancelled_once(loop: FaultLoop) -> None:
    end = loop.wait_for_end()
    assert end.state == S.STATE_CANCELED
    assert loop.robot.at_rest, "the end was announced before the arm was at rest"
    assert len(loop.ends()) == 1
    loop.judge()


def test_row_43_cancel_while_perceiving(loop):
    loop.robot.faults.colour = False
    loop.start()
    loop.cancel()
    loop.wait_for_end()
    assert len(loop.ends()) == 1 and loop.robot.accepted == []
    loop.robot.faults.colour = True
    loop.judge()


def test_row_43_cancel_in_motion_twice_and_after_the_end(loop):
    loop.start_and_move()
    for _ in range(2):
        assert loop.cancel().error.value == 0
    loop.wait_for_rest()
    loop.wait_for_end()
    assert loop.cancel().error.value == 0
    cancelled_once(loop)


def test_row_43_cancel_while_holding(loop):
    loop.start_and_move()
    loop.robot.faults.depth = False
    loop.wait_for_cause("OBSERVATION_STALE")
    loop.cancel()
    loop.robot.faults.depth = True
    cancelled_once(loop)


@pytest.mark.parametrize("delay_s", [0.0, 0.3, 0.6])
def test_row_43_cancel_races_success(loop, delay_s):
    loop.start("stay")
    loop.bench.until(lambda: loop.traces, what="first forecast")
    loop.bench.spin_for(delay_s)
    loop.cancel()
    end = loop.wait_for_end()
    assert end.state in (S.STATE_CANCELED, S.STATE_SUCCEEDED)
    assert len(loop.ends()) == 1 and loop.robot.at_rest
    loop.judge()


def test_row_44_a_second_task_and_a_flood_of_requests(loop):
    loop.start_and_move()
    assert loop.start().error.value == -11  # BUSY
    client = loop.bench.probe.create_client(ExecuteTask, "execute_task")
    loop.bench.until(client.service_is_ready, what="service")
    spoken, answers = len(loop.safety), []
    for _ in range(40):
        futures = [client.call_async(ExecuteTask.Request(instruction="x")) for _ in range(25)]
        loop.bench.spin_for(0.02)
        answers += [f.result().error.value for f in futures if f.done()]
    assert answers and set(answers) == {-11}
    loop.bench.until(lambda: len(loop.safety) > spoken + 3, what="the gate goes on speaking")
    loop.wait_for_round()
    assert loop.status[-1].state in RUNNING and loop.ends() == []
    loop.judge()


@pytest.mark.parametrize("node", ["safety_gate", "task_server"])
def test_row_45_deactivated_in_motion(loop, node):
    loop.start_and_move()
    loop.bench.turning(loop.nodes[node].trigger_deactivate)
    loop.wait_for_rest()
    if node == "task_server":
        assert loop.wait_for_end().error.value == -63  # DEACTIVATED
    commands = len(loop.robot.accepted)
    loop.bench.spin_for(0.5)
    assert len(loop.robot.accepted) == commands, "a gate or server at rest commands nothing"
    loop.nodes[node].trigger_activate()
    loop.judge()


@pytest.mark.parametrize("loop", [{"task_server": {"inference_timeout_s": 1.5}}], indirect=True)
@pytest.mark.parametrize("node", ["trace_forecaster", "action_expert"])
def test_row_45_a_model_node_deactivated_in_motion(loop, node):
    loop.start_and_move()
    loop.bench.turning(loop.nodes[node].trigger_deactivate)
    loop.wait_for_rest()
    assert loop.wait_for_end().state == S.STATE_ABORTED
    loop.nodes[node].trigger_activate()
    loop.judge()


@pytest.mark.parametrize(
    "fields",
    [{"speed_scale": math.nan}, {"speed_scale": 2.0}, {"speed_scale": -0.5}, {"instruction": ""}],
    ids=str,
)
def test_row_49_requests_out_of_range_start_nothing(loop, fields):
    answer = loop.start(**fields)
    assert not answer.accepted and answer.error.value == -10  # INVALID_REQUEST
    loop.bench.spin_for(0.2)
    assert loop.traces == [] and loop.robot.accepted == []
    assert all(m.state not in (*RUNNING, *ENDED) for m in loop.status)
    loop.judge()
