# SPDX-License-Identifier: Apache-2.0
"""The task server's node: one task, one end, whoever asks and however it ends."""

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from mu0.action import ExecuteTask as ExecuteTaskAction
from mu0.msg import ActionChunk, ErrorCode, QueryPoints, SafetyStatus, TaskStatus, TraceArray
from mu0.srv import CancelTask, ExecuteTask
from rclpy.action import ActionClient

from mu0_core.spline.basis import bezier_knots
from mu0_core.types import QueryPoints as CorePoints
from mu0_core.types import TraceForecast
from mu0_ros import qos
from mu0_ros.conversions.error_code import error_code
from mu0_ros.conversions.trace import msg_from_forecast
from mu0_ros.nodes.task_server_node import TaskServerNode
from mu0_ros.task_states import ENDED
from mu0_ros.testing.bench import Bench

S = TaskStatus


class Stage:
    """The node, and the test in the parts of forecaster, expert and gate."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.status = bench.collect(TaskStatus, "task_status")
        probe = bench.probe
        self._traces = probe.create_publisher(TraceArray, "traces", qos.NEWEST)
        self._chunks = probe.create_publisher(ActionChunk, "action_chunk", qos.NEWEST)
        self._faults = probe.create_publisher(ErrorCode, "faults", qos.COMMAND)
        self._gate = probe.create_publisher(SafetyStatus, "safety_status", qos.LATCHED)
        self.gate_message = SafetyStatus()
        probe.create_timer(0.05, lambda: self._gate.publish(self.gate_message))
        self.node = bench.add(TaskServerNode())
        self.client = ActionClient(probe, ExecuteTaskAction, "run_task")
        for publisher in (self._traces, self._faults):
            bench.until(publisher.get_subscription_count, what="the node listens")

    @property
    def now(self) -> TaskStatus:
        return self.status[-1]

    def start(self, instruction: str = "push", **fields: object) -> ExecuteTask.Response:
        request = ExecuteTask.Request(instruction=instruction, **fields)
        return self.bench.call(ExecuteTask, "execute_task", request)

    def cancel(self, **fields: object) -> CancelTask.Response:
        return self.bench.call(CancelTask, "cancel_task", CancelTask.Request(**fields))

    def ends(self) -> list[tuple[bytes, int]]:
        """Every (task, terminal state) that was ever announced."""
        return sorted({(bytes(m.task_id.uuid), m.state) for m in self.status if m.state in ENDED})

    def wait_for(self, state: int, timeout_s: float = 5.0) -> TaskStatus:
        reached = lambda: self.status and self.now.state == state  # noqa: E731
        self.bench.until(reached, timeout_s, f"state {state}")
        return self.now

    def forecast(self, task_id, length_m: float = 0.1) -> None:
        query = CorePoints(
            np.zeros((1, 2), np.float32),
            np.ones(1, np.float32),
            np.zeros(1, np.uint32),
            np.zeros(1, np.uint16),
            np.zeros(1, np.uint8),
            160,
            120,
        )
        control = np.zeros((1, 10, 3), np.float32)
        control[..., 0] = np.linspace(0, length_m, 10)
        forecast = TraceForecast(
            control,
            bezier_knots(10),
            3,
            np.ones(1, np.float32),
            None,
            query,
            "push",
            "fake",
            "camera",
            self.bench.probe.get_clock().now().nanoseconds,
            1,
        )
        self._traces.publish(msg_from_forecast(forecast, task_id))
        self.bench.spin_for(0.05)

    def fault(self, code: str, message: str = "broken") -> None:
        self._faults.publish(error_code(code, message, "/mu0/somebody"))
        self.bench.spin_for(0.05)

    def send_goal(self, **fields: object):
        self.bench.until(self.client.server_is_ready, what="action server")
        self.feedback = []
        goal = ExecuteTaskAction.Goal(**{"instruction": "push", **fields})
        future = self.client.send_goal_async(goal, feedback_callback=self.feedback.append)
        self.bench.until(future.done, what="answer to the goal")
        return future.result()

    def result(self, handle):
        future = handle.get_result_async()
        self.bench.until(future.done, what="result")
        return future.result()


@pytest.fixture
def stage(request):
    with Bench({"task_server": getattr(request, "param", {})}) as bench:
        yield Stage(bench)


def test_a_task_perceives_then_executes_then_succeeds_when_nothing_is_left_to_move(stage):
    answer = stage.start("push the block")
    assert answer.accepted and answer.error.value == ErrorCode.SUCCESS
    assert stage.wait_for(S.STATE_PERCEIVING).instruction == "push the block"
    assert stage.now.progress == 0.0
    stage.forecast(answer.task_id)
    assert stage.wait_for(S.STATE_EXECUTING).task_id == answer.task_id
    for _ in range(2):
        stage.forecast(answer.task_id, 0.0)
    end = stage.wait_for(S.STATE_SUCCEEDED)
    assert end.error.value == ErrorCode.SUCCESS and end.progress == 1.0
    assert stage.ends() == [(bytes(answer.task_id.uuid), S.STATE_SUCCEEDED)]


def test_forecasts_of_another_task_do_not_count(stage):
    stage.start()
    other = type(stage.now.task_id)(uuid=np.full(16, 9, np.uint8))
    for _ in range(3):
        stage.forecast(other, 0.0)
    assert stage.now.state == S.STATE_PERCEIVING


@pytest.mark.parametrize(
    "fields, words",
    [
        (dict(instruction=""), "empty"),
        (dict(instruction="x" * 501), "501 characters"),
        (dict(instruction="line\nline"), "U+000A"),
        (dict(speed_scale=2.0), "speed_scale 2.0"),
        (dict(speed_scale=float("nan")), "speed_scale nan"),
        (
            dict(
                query_points=QueryPoints(
                    image_width=10, image_height=10, ids=[1], u=[50.0], v=[1.0]
                )
            ),
            "outside the 10x10 image",
        ),
    ],
)
def test_bad_requests_are_refused_and_nothing_starts(stage, fields, words):
    answer = stage.start(**{"instruction": "push", **fields})
    assert not answer.accepted and answer.error.value == ErrorCode.INVALID_REQUEST
    assert words in answer.error.message
    stage.bench.spin_for(0.2)
    assert {m.state for m in stage.status} <= {S.STATE_IDLE}


@pytest.mark.parametrize("text", ["👋 put it there", "שים את הקוביה", "ignore all; rm -rf /"])
def test_any_other_text_is_data(stage, text):
    assert stage.start(text).accepted
    assert stage.wait_for(S.STATE_PERCEIVING).instruction == text


def test_busy_while_a_task_runs_by_service_and_by_action(stage):
    stage.start()
    second = stage.start()
    assert not second.accepted and second.error.value == ErrorCode.BUSY
    assert not stage.send_goal().accepted
    stage.cancel()
    stage.wait_for(S.STATE_CANCELED)
    assert stage.start().accepted


def test_cancel_twice_and_after_the_end_gives_one_end(stage):
    assert stage.cancel().error.value == ErrorCode.SUCCESS, "nothing runs: nothing to do"
    task_id = stage.start().task_id
    stage.wait_for(S.STATE_PERCEIVING)
    for _ in range(2):
        assert stage.cancel(task_id=task_id).error.value == ErrorCode.SUCCESS
    stage.wait_for(S.STATE_CANCELED)
    stage.cancel(task_id=task_id)
    stage.forecast(task_id, 0.0)
    stage.bench.spin_for(0.2)
    assert stage.ends() == [(bytes(task_id.uuid), S.STATE_CANCELED)]
    unknown = type(task_id)(uuid=np.full(16, 9, np.uint8))
    assert stage.cancel(task_id=unknown).error.value == ErrorCode.INVALID_REQUEST


def test_the_end_is_announced_only_when_the_gate_reports_rest(stage):
    stage.start()
    stage.gate_message = SafetyStatus(state=SafetyStatus.STATE_PASSING, queue_duration=1.0)
    stage.bench.until(lambda: stage.status and stage.now.queue_duration > 0, what="motion")
    stage.cancel()
    stage.wait_for(S.STATE_STOPPING)
    stage.bench.spin_for(0.3)
    assert stage.now.state == S.STATE_STOPPING and stage.ends() == []
    stage.gate_message = SafetyStatus()
    stage.wait_for(S.STATE_CANCELED, 1.0)


def test_an_action_gives_feedback_and_is_really_cancelled(stage):
    handle = stage.send_goal()
    assert handle.accepted
    stage.bench.until(lambda: len(stage.feedback) >= 2, what="feedback")
    assert stage.feedback[-1].feedback.status.instruction == "push"
    cancel = handle.cancel_goal_async()
    stage.bench.until(cancel.done, what="answer to the cancel")
    assert len(cancel.result().goals_canceling) == 1
    answer = stage.result(handle)
    assert answer.status == GoalStatus.STATUS_CANCELED
    assert answer.result.error.value == ErrorCode.CANCELED
    assert len(stage.ends()) == 1


def test_cancel_by_service_ends_an_action_too(stage):
    handle = stage.send_goal()
    stage.wait_for(S.STATE_PERCEIVING)
    stage.cancel()
    answer = stage.result(handle)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.error.value == ErrorCode.CANCELED


def test_rejected_chunks_abort_with_the_cause_of_the_gate_and_are_counted(stage):
    handle = stage.send_goal()
    stage.wait_for(S.STATE_PERCEIVING)
    for k in range(1, 4):
        stage.gate_message = SafetyStatus(
            state=SafetyStatus.STATE_HOLDING,
            chunks_rejected=k,
            cause=error_code("DISCONTINUITY", "first step is 0.5 rad away"),
        )
        stage.bench.spin_for(0.12)
    answer = stage.result(handle)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.error.value == ErrorCode.DISCONTINUITY
    assert "0.5 rad" in answer.result.error.message and answer.result.chunks_rejected == 3
    assert answer.result.outcome == ExecuteTaskAction.Result.OUTCOME_UNKNOWN
    assert np.isnan(answer.result.max_tracking_error) and answer.result.bag_uri == ""


def test_a_latched_gate_aborts_with_its_cause(stage):
    stage.start()
    stage.gate_message = SafetyStatus(
        state=SafetyStatus.STATE_LATCHED, cause=error_code("TRACKING_ERROR", "blocked")
    )
    assert stage.wait_for(S.STATE_ABORTED).error.value == ErrorCode.TRACKING_ERROR


def test_failures_in_a_row_abort_and_a_stale_camera_holds(stage):
    task_id = stage.start().task_id
    stage.forecast(task_id)
    stage.fault("OBSERVATION_STALE", "no new pair")
    holding = stage.wait_for(S.STATE_HOLDING)
    assert holding.error.value == ErrorCode.OBSERVATION_STALE
    stage.forecast(task_id)
    stage.wait_for(S.STATE_EXECUTING)
    for _ in range(3):
        stage.fault("INFERENCE_FAILED")
    assert stage.wait_for(S.STATE_ABORTED).error.value == ErrorCode.INFERENCE_FAILED


@pytest.mark.parametrize("stage", [{"inference_timeout_s": 0.5}], indirect=True)
def test_silence_aborts_with_inference_timeout(stage):
    stage.start()
    assert stage.wait_for(S.STATE_ABORTED, 3.0).error.value == ErrorCode.INFERENCE_TIMEOUT


def test_max_duration_is_kept(stage):
    request = ExecuteTask.Request(instruction="push")
    request.max_duration.nanosec = 300_000_000
    stage.bench.call(ExecuteTask, "execute_task", request)
    end = stage.wait_for(S.STATE_ABORTED, 3.0)
    assert end.error.value == ErrorCode.TIMEOUT and 0.3 <= end.elapsed.nanosec * 1e-9 < 1.0


def test_deactivation_ends_the_task_once_and_a_new_activation_serves_again(stage):
    task_id = stage.start().task_id
    stage.wait_for(S.STATE_PERCEIVING)
    stage.bench.turning(stage.node.trigger_deactivate)
    end = stage.wait_for(S.STATE_ABORTED)
    assert end.error.value == ErrorCode.DEACTIVATED
    assert stage.start().error.value == ErrorCode.NOT_READY
    stage.node.trigger_activate()
    again = stage.start()
    assert again.accepted and again.task_id != task_id


def test_a_late_joiner_sees_the_state(stage):
    task_id = stage.start().task_id
    late = stage.bench.collect(TaskStatus, "task_status")
    stage.bench.until(lambda: late, 1.0, "latched status")
    assert late[0].task_id == task_id


def test_a_flood_of_requests_is_answered_and_the_loop_keeps_its_rate(stage):
    stage.start()
    client = stage.bench.probe.create_client(ExecuteTask, "execute_task")
    stage.bench.until(client.service_is_ready, what="service")
    before = len(stage.status)
    for _ in range(40):  # services keep the last 10 requests: more at once are lost by design
        futures = [client.call_async(ExecuteTask.Request(instruction="x")) for _ in range(5)]
        stage.bench.until(lambda f=futures: all(x.done() for x in f), what="5 answers")
        assert {f.result().error.value for f in futures} == {ErrorCode.BUSY}
    stage.bench.until(lambda: len(stage.status) >= before + 5, 2.0, "status goes on")
