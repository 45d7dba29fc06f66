# SPDX-License-Identifier: Apache-2.0
"""The expert's node: one chunk for each fresh forecast, nothing from stale or broken ones."""

from dataclasses import replace

import numpy as np
import pytest
from mu0.msg import ActionChunk, ErrorCode, ModelInfo, TaskStatus, TraceArray
from unique_identifier_msgs.msg import UUID

from mu0_core.spline.basis import bezier_knots
from mu0_core.types import QueryPoints, TraceForecast
from mu0_ros import qos
from mu0_ros.conversions.trace import msg_from_forecast
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.testing.bench import Bench
from mu0_ros.testing.mock_robot import CAMERA_FRAME, MockRobot

TASK = UUID(uuid=np.full(16, 3, np.uint8))


class Stage:
    """The node, a mock arm, and the test in the parts of forecaster and task server."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.chunks = bench.collect(ActionChunk, "action_chunk", qos.NEWEST)
        self.faults = bench.collect(ErrorCode, "faults", qos.COMMAND)
        self.robot = bench.add(MockRobot())
        self._traces = bench.probe.create_publisher(TraceArray, "traces", qos.NEWEST)
        self._task = bench.probe.create_publisher(TaskStatus, "task_status", qos.LATCHED)
        self.node = bench.add(ActionExpertNode())
        self.task(TaskStatus.STATE_EXECUTING)
        bench.until(
            lambda: (
                self.node._state is not None
                and self._traces.get_subscription_count()
                and self.node._task.state == TaskStatus.STATE_EXECUTING
                and self.node._transforms._poses
            ),
            what="joint states, task and camera pose",
        )

    def task(self, state: int) -> None:
        self._task.publish(TaskStatus(state=state, task_id=TASK))

    def forecast(self, sequence: int = 1, **changes: object) -> None:
        query = QueryPoints(
            np.zeros((2, 2), np.float32),
            np.ones(2, np.float32),
            np.arange(2, dtype=np.uint32),
            np.zeros(2, np.uint16),
            np.zeros(2, np.uint8),
            160,
            120,
        )
        now_ns = self.bench.probe.get_clock().now().nanoseconds
        forecast = TraceForecast(
            np.zeros((2, 10, 3), np.float32),
            bezier_knots(10),
            3,
            np.ones(2, np.float32),
            None,
            query,
            "push",
            "fake",
            CAMERA_FRAME,
            now_ns,
            sequence,
        )
        self._traces.publish(msg_from_forecast(replace(forecast, **changes), TASK))

    def wait_for_fault(self, code: int) -> ErrorCode:
        return self.bench.until(
            lambda: [f for f in self.faults if f.value == code], what=f"fault {code}"
        )[0]


@pytest.fixture
def stage(request):
    values = {"backend": "fake", **getattr(request, "param", {})}
    with Bench({"action_expert": values}) as bench:
        yield Stage(bench)


def test_every_forecast_gives_one_chunk_that_names_its_origin(stage):
    for sequence in (1, 2):
        stage.forecast(sequence)
        stage.bench.until(lambda n=sequence: len(stage.chunks) == n, what=f"chunk {sequence}")
    stage.bench.spin_for(0.2)
    first, second = stage.chunks
    assert (first.trace_sequence, second.trace_sequence) == (1, 2)
    assert second.sequence == first.sequence + 1 and bytes(first.task_id.uuid) == b"\x03" * 16
    assert list(first.joint_names) == list(stage.robot.robot.arm_joints)
    values = np.array(first.values).reshape(first.num_steps, first.num_dims)
    assert np.allclose(values[0, 1:], stage.robot.robot.home_rad[1:], atol=1e-6)
    assert first.execute_steps == 8
    assert first.observation_stamp.sec > 0


def test_a_stale_forecast_is_refused(stage):
    old_ns = stage.bench.probe.get_clock().now().nanoseconds - 5 * 10**9
    stage.forecast(stamp_ns=old_ns)
    assert "forecast" in stage.wait_for_fault(ErrorCode.OBSERVATION_STALE).message
    assert stage.chunks == []


def test_without_fresh_joint_states_nothing_is_proposed_and_with_them_again(stage):
    stage.robot.faults.joints = False
    stage.bench.spin_for(0.4)
    stage.forecast(1)
    assert "joint states" in stage.wait_for_fault(ErrorCode.OBSERVATION_STALE).message
    stage.robot.faults.joints = True
    stage.bench.spin_for(0.1)
    stage.forecast(2)
    stage.bench.until(lambda: stage.chunks, what="chunk after joint states came back")
    assert stage.chunks[0].trace_sequence == 2


def test_an_unknown_camera_frame_is_never_taken_for_identity(stage):
    stage.forecast(frame_id="somewhere")
    assert "somewhere" in stage.wait_for_fault(ErrorCode.TRANSFORM_UNAVAILABLE).message
    assert stage.chunks == []


def test_a_forecast_with_nan_is_dropped_and_the_next_one_serves(stage):
    broken = np.zeros((2, 10, 3), np.float32)
    broken[1, 4, 2] = np.nan
    stage.forecast(1, control_points=broken)
    assert "not finite" in stage.wait_for_fault(ErrorCode.INVALID_REQUEST).message
    stage.forecast(2)
    stage.bench.until(lambda: stage.chunks, what="chunk of the next forecast")


@pytest.mark.parametrize("stage", [{"fake_fault": "delay"}], indirect=True)
def test_only_the_newest_forecast_counts(stage):
    stage.forecast(1)
    stage.bench.until(lambda: stage.node._worker.busy, what="first proposal under way")
    for sequence in (2, 3, 4):
        stage.forecast(sequence)
        stage.bench.spin_for(0.03)
    stage.bench.until(lambda: stage.chunks, what="chunk")
    assert [c.trace_sequence for c in stage.chunks] == [4], "older work must be dropped"


@pytest.mark.parametrize("stage", [{"fake_fault": "delay"}], indirect=True)
def test_a_chunk_of_an_ended_task_is_not_published(stage):
    stage.forecast(1)
    stage.bench.until(lambda: stage.node._worker.busy, what="proposal under way")
    stage.task(TaskStatus.STATE_CANCELED)
    stage.bench.until(lambda: not stage.node._worker.busy, what="end of the proposal")
    stage.bench.spin_for(0.2)
    assert stage.chunks == []


@pytest.mark.parametrize(
    "stage, code",
    [
        ({"fake_fault": "exception:1"}, ErrorCode.INFERENCE_FAILED),
        ({"fake_fault": "hang:1", "inference_timeout_s": 0.5}, ErrorCode.INFERENCE_TIMEOUT),
    ],
    ids=["exception", "hang"],
    indirect=["stage"],
)
def test_a_failing_expert_is_reported_and_the_next_forecast_serves(stage, code):
    stage.forecast(1)
    stage.wait_for_fault(code)
    stage.forecast(2)
    stage.bench.until(lambda: stage.chunks, what="chunk after the failure")


def test_a_late_joiner_sees_the_model(stage):
    stage.bench.spin_for(0.1)
    infos = stage.bench.collect(ModelInfo, "model_info_action", qos.LATCHED)
    stage.bench.until(lambda: infos, 2.0, "latched model info")
    assert infos[0].kind == ModelInfo.KIND_ACTION_EXPERT and infos[0].embodiment == "fr3"
