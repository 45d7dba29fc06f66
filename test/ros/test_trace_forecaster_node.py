# SPDX-License-Identifier: Apache-2.0
"""The forecaster's node: when it forecasts, what it refuses, and that it recovers."""

import numpy as np
import pytest
from mu0.msg import ErrorCode, ModelInfo, QueryPoints, SafetyStatus, TaskStatus, TraceArray
from mu0.srv import LoadModel, PredictTraces, SelectQueryPoints

from mu0_ros import qos
from mu0_ros.nodes.trace_forecaster_node import TraceForecasterNode
from mu0_ros.testing.bench import Bench
from mu0_ros.testing.mock_robot import CAMERA_FRAME, MockRobot


class Stage:
    """The node, a mock camera, and the test in the parts of gate and task server."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.traces = bench.collect(TraceArray, "traces", qos.NEWEST)
        self.faults = bench.collect(ErrorCode, "faults", qos.COMMAND)
        self.robot = bench.add(MockRobot())
        self._task = bench.probe.create_publisher(TaskStatus, "task_status", qos.LATCHED)
        self._gate = bench.probe.create_publisher(SafetyStatus, "safety_status", qos.LATCHED)
        self.judged = 0
        self.node = bench.add(TraceForecasterNode())

    def task(self, number: int, state: int = TaskStatus.STATE_EXECUTING, text="push") -> None:
        message = TaskStatus(state=state, instruction=text)
        message.task_id.uuid = np.full(16, number, np.uint8)
        self._task.publish(message)
        self.gate()

    def gate(self, judged: int = 0, queue_s: float = 0.0) -> None:
        self.judged += judged
        message = SafetyStatus(chunks_accepted=self.judged, queue_duration=queue_s)
        message.header.stamp = self.bench.probe.get_clock().now().to_msg()
        self._gate.publish(message)

    def wait_for_images(self) -> None:
        self.bench.until(lambda: self.node._camera.newest_frame() is not None, what="images")

    def wait_for_fault(self, code: int) -> ErrorCode:
        return self.bench.until(
            lambda: [f for f in self.faults if f.value == code], what=f"fault {code}"
        )[0]


@pytest.fixture
def stage(request):
    values = {"backend": "fake", **getattr(request, "param", {})}
    with Bench({"trace_forecaster": values}) as bench:
        yield Stage(bench)


def test_without_a_task_it_is_quiet_and_with_one_it_forecasts_once_per_motion(stage):
    stage.wait_for_images()
    stage.gate()
    stage.bench.spin_for(0.3)
    assert stage.traces == []
    stage.task(7)
    stage.bench.until(lambda: stage.traces, what="first forecast")
    stage.bench.spin_for(0.4)
    assert len(stage.traces) == 1, "it must wait until the gate has judged the chunk"
    first = stage.traces[0]
    assert bytes(first.task_id.uuid) == b"\x07" * 16 and first.instruction == "push"
    assert first.header.frame_id == CAMERA_FRAME and first.model_id == "fake-world-model"
    stage.gate(judged=1)
    stage.bench.until(lambda: len(stage.traces) == 2, what="second forecast")
    assert stage.traces[1].sequence == first.sequence + 1
    stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in stage.traces]
    assert stamps[1] > stamps[0]
    stage.task(7, TaskStatus.STATE_SUCCEEDED)
    stage.gate(judged=1)
    stage.bench.spin_for(0.4)
    assert len(stage.traces) == 2


def test_query_points_of_a_client_are_used_for_one_forecast(stage):
    publisher = stage.bench.probe.create_publisher(QueryPoints, "query_points", qos.NEWEST)
    stage.wait_for_images()
    stage.bench.until(publisher.get_subscription_count, what="the node listens")
    publisher.publish(
        QueryPoints(image_width=160, image_height=120, ids=[5, 9], u=[80.0, 20.0], v=[60.0, 20.0])
    )
    stage.bench.spin_for(0.1)
    stage.task(1)
    stage.bench.until(lambda: stage.traces, what="first forecast")
    assert list(stage.traces[0].ids) == [5, 9]
    depths = np.array(stage.traces[0].control_points).reshape(2, -1, 3)[:, 0, 2]
    assert depths == pytest.approx([0.95, 1.0], abs=1e-6)
    stage.gate(judged=1)
    stage.bench.until(lambda: len(stage.traces) == 2, what="second forecast")
    assert len(stage.traces[1].ids) > 2


@pytest.mark.parametrize(
    "break_it, code, words",
    [
        (dict(depth_scale=1000.0), ErrorCode.OBSERVATION_INVALID, "1000"),
        (dict(calibrated=False), ErrorCode.OBSERVATION_INVALID, "not calibrated"),
        (dict(depth_frame="elsewhere"), ErrorCode.OBSERVATION_INVALID, "elsewhere"),
        (dict(stamp_offset_s=50.0), ErrorCode.OBSERVATION_INVALID, "node clock"),
        (dict(stamp_offset_s=-1e6), ErrorCode.OBSERVATION_INVALID, "node clock"),
        (dict(colour=False), ErrorCode.OBSERVATION_STALE, "no new pair"),
        (dict(frozen=True), ErrorCode.OBSERVATION_STALE, "no new pair"),
        (dict(depth_scale=float("nan")), ErrorCode.NO_QUERY_POINTS, "no "),
    ],
    ids=[
        "millimetres",
        "uncalibrated",
        "frame",
        "future",
        "other-clock",
        "stopped",
        "frozen",
        "no-depth",
    ],
)
@pytest.mark.parametrize("stage", [{"max_image_age_s": 0.3}], indirect=True)
def test_a_broken_camera_is_named_and_a_healed_one_serves_again(stage, break_it, code, words):
    stage.wait_for_images()
    healthy = {name: getattr(stage.robot.faults, name) for name in break_it}
    for name, value in break_it.items():
        setattr(stage.robot.faults, name, value)
    stage.bench.spin_for(0.35)  # the last good image must age
    stage.task(1)
    assert words in stage.wait_for_fault(code).message
    assert stage.traces == []
    for name, value in healthy.items():
        setattr(stage.robot.faults, name, value)
    stage.bench.until(lambda: stage.traces, what="forecast after the camera healed")


@pytest.mark.parametrize(
    "stage, code",
    [
        ({"fake_fault": "exception:1"}, ErrorCode.INFERENCE_FAILED),
        ({"fake_fault": "out_of_memory:1"}, ErrorCode.OUT_OF_MEMORY),
        ({"fake_fault": "hang:1", "inference_timeout_s": 0.5}, ErrorCode.INFERENCE_TIMEOUT),
    ],
    ids=["exception", "memory", "hang"],
    indirect=["stage"],
)
def test_a_failing_model_is_reported_and_the_node_forecasts_again(stage, code):
    stage.wait_for_images()
    stage.task(1)
    fault = stage.wait_for_fault(code)
    assert fault.source == stage.node.get_fully_qualified_name()
    stage.bench.until(lambda: stage.traces, what="forecast after the failure")


def test_services_forecast_and_select_without_a_task(stage):
    call = stage.bench.call
    answer = call(PredictTraces, "predict_traces", PredictTraces.Request(instruction="push"))
    if answer.error.value != ErrorCode.SUCCESS:  # the first images may still be under way
        assert answer.error.value == ErrorCode.OBSERVATION_STALE
    stage.wait_for_images()
    request = PredictTraces.Request(instruction="push", num_hypotheses=3, seed=4)
    answer = call(PredictTraces, "predict_traces", request)
    assert answer.error.value == ErrorCode.SUCCESS and len(answer.hypotheses) == 3
    request = SelectQueryPoints.Request(max_points=4)
    chosen = call(SelectQueryPoints, "select_query_points", request)
    assert chosen.error.value == ErrorCode.SUCCESS and len(chosen.query_points.ids) == 4
    assert chosen.query_points.header.frame_id == CAMERA_FRAME
    assert stage.traces == [], "services publish nothing"


@pytest.mark.parametrize(
    "request_fields, words",
    [
        (dict(instruction=""), "empty"),
        (dict(instruction="x" * 501), "501"),
        (dict(instruction="a\x07b"), "U+0007"),
        (dict(instruction="push", num_hypotheses=1000), "1000 hypotheses"),
        (
            dict(
                instruction="push",
                query_points=QueryPoints(
                    image_width=160, image_height=120, ids=[1], u=[500.0], v=[5.0]
                ),
            ),
            "outside the 160x120 image",
        ),
        (
            dict(
                instruction="push",
                query_points=QueryPoints(
                    image_width=160, image_height=120, ids=range(40), u=[5.0] * 40, v=[5.0] * 40
                ),
            ),
            "at most 32",
        ),
    ],
)
def test_bad_requests_are_refused_by_name(stage, request_fields, words):
    stage.wait_for_images()
    answer = stage.bench.call(
        PredictTraces, "predict_traces", PredictTraces.Request(**request_fields)
    )
    assert answer.error.value == ErrorCode.INVALID_REQUEST and words in answer.error.message
    assert len(answer.hypotheses) == 0


def test_a_prompt_is_refused_because_the_selector_cannot_read(stage):
    request = SelectQueryPoints.Request(prompt="red cube")
    answer = stage.bench.call(SelectQueryPoints, "select_query_points", request)
    assert answer.error.value == ErrorCode.INVALID_REQUEST and "prompt" in answer.error.message


@pytest.mark.parametrize("model_id", ["../../etc/passwd", "/etc/passwd", "http://x/y", "", "A b"])
def test_a_model_id_is_a_name_and_never_a_path(stage, model_id):
    before = stage.node._forecaster
    answer = stage.bench.call(LoadModel, "load_model", LoadModel.Request(model_id=model_id))
    assert answer.error.value == ErrorCode.UNKNOWN_MODEL
    assert stage.node._forecaster is before


def test_a_late_joiner_sees_the_model_and_a_loaded_one(stage):
    stage.bench.spin_for(0.2)
    infos = stage.bench.collect(ModelInfo, "model_info", qos.LATCHED)
    stage.bench.until(lambda: infos, 2.0, "latched model info")
    assert infos[0].model_id == "fake-world-model" and infos[0].kind == ModelInfo.KIND_WORLD_MODEL
    answer = stage.bench.call(LoadModel, "load_model", LoadModel.Request(model_id="mu0-embedded"))
    assert answer.error.value == ErrorCode.SUCCESS
    stage.bench.until(lambda: len(infos) == 2, 2.0, "info of the loaded model")


@pytest.mark.parametrize(
    ("scale", "code"),
    [(np.nan, ErrorCode.NO_QUERY_POINTS), (1000.0, ErrorCode.OBSERVATION_INVALID)],
)
def test_bad_depth_is_told_while_the_arm_moves_and_no_forecast_is_due(stage, scale, code):
    stage.wait_for_images()
    stage.task(1)
    stage.bench.until(lambda: stage.traces, what="a forecast")
    stage.gate(judged=1, queue_s=20.0)
    stage.bench.spin_for(0.3)
    before = len(stage.traces)
    assert stage.faults == []
    stage.robot.faults.depth_scale = scale
    stage.wait_for_fault(code)
    assert len(stage.traces) == before
