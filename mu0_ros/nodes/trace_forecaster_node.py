# SPDX-License-Identifier: Apache-2.0
"""RGB-D and an instruction in, `TraceArray` out: the world model's node.

While a task runs it forecasts once per motion, on an image taken after the arm came to rest. Services
forecast without moving anything, choose query points, and load another model of the registry.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from mu0.msg import ModelInfo, SafetyStatus, TaskStatus, TraceArray
from mu0.srv import LoadModel, PredictTraces, SelectQueryPoints

from mu0_core.errors import ObservationError, RequestError, StaleObservationError
from mu0_core.types import QueryPoints, RgbdFrame
from mu0_ros import backends, qos
from mu0_ros.camera_stream import CameraStream
from mu0_ros.conversions.error_code import error_code, error_from
from mu0_ros.conversions.query_points import msg_from_query, query_from_msg
from mu0_ros.conversions.stamp import ns_from_stamp
from mu0_ros.conversions.trace import msg_from_forecast
from mu0_ros.lifecycle import Mu0LifecycleNode, run
from mu0_ros.params import parameter
from mu0_ros.replan import ReplanRule

_RUNNING = (TaskStatus.STATE_PERCEIVING, TaskStatus.STATE_EXECUTING)


@dataclass(frozen=True)
class TraceForecasterParameters:
    """Parameters of the node."""

    model_id: str = parameter("mu0-embedded", "world model in the registry")
    device: str = parameter("cpu", "torch device")
    backend: str = parameter("model", "model, or fake (straight lines, for tests)")
    fake_fault: str = parameter("", "fault of the fake backend: none, delay, exception, nan, hang")
    max_points: int = parameter(32, "most query points per forecast", low=1, high=256)
    num_samples: int = parameter(1, "sampled futures; more give a spread", low=1, high=16)
    seed: int = parameter(0, "of the sampling noise", low=0, high=2**31)
    replan_lead_s: float = parameter(
        0.0, "forecast when this much motion is left", unit="s", low=0.0, high=5.0
    )
    settle_s: float = parameter(
        0.1, "rest before an image is used", unit="s", low=0.0, high=2.0
    )
    answer_timeout_s: float = parameter(
        6.0, "forecast again when no chunk was judged for so long", unit="s", low=0.1, high=60.0
    )
    max_image_age_s: float = parameter(
        1.0, "oldest image to start a forecast from", unit="s", low=0.05, high=10.0
    )
    sync_slop_s: float = parameter(
        0.02, "largest time between a colour and a depth image", unit="s", low=0.0, high=0.5
    )


class TraceForecasterNode(Mu0LifecycleNode):
    """Forecasts on demand of the running task; one worker thread computes."""

    def __init__(self) -> None:
        super().__init__("trace_forecaster", TraceForecasterParameters)

    def setup(self) -> None:
        """Load the model; make publishers, subscriptions and services."""
        p = self.settings
        self._selector = backends.make_selector(p.backend)
        self._forecaster = backends.make_forecaster(p.backend, p.model_id, p.device, p.fake_fault)
        self._model_lock = threading.Lock()
        self._task = TaskStatus()
        self._rule = ReplanRule(p.replan_lead_s, p.settle_s, p.answer_timeout_s)
        self._sequence, self._round = 0, 0
        self._worker: threading.Thread | None = None
        self._camera = CameraStream(self, p.sync_slop_s)
        self._traces = self.create_lifecycle_publisher(TraceArray, "traces", qos.NEWEST)
        self._model_info = self.create_lifecycle_publisher(ModelInfo, "model_info", qos.LATCHED)
        self.create_subscription(
            TaskStatus, "task_status", self.guard("task_status", self._on_task), qos.LATCHED
        )
        self.create_subscription(
            SafetyStatus, "safety_status", self.guard("safety_status", self._on_gate), qos.LATCHED
        )
        self.create_service(PredictTraces, "predict_traces", self._on_predict)
        self.create_service(SelectQueryPoints, "select_query_points", self._on_select)
        self.create_service(LoadModel, "load_model", self._on_load)
        self.create_timer(0.02, self.guard("schedule", self._schedule), clock=self.steady)

    def start(self) -> None:
        """Tell everybody which model this is, once the publisher is active."""
        self.create_timer(0.5, self.guard("model_info", self._publish_info), clock=self.steady)
        self._info_due = True

    def teardown(self) -> None:
        """Close the camera."""
        if hasattr(self, "_camera"):
            self._camera.close()

    def _publish_info(self) -> None:
        if self._info_due and self.active:
            self._model_info.publish(self._info_message())
            self._info_due = False

    def _info_message(self) -> ModelInfo:
        return backends.model_info(
            self._forecaster.model_id, ModelInfo.KIND_WORLD_MODEL, self.settings.device,
            self.settings.max_points,
        )

    # -- schedule --------------------------------------------------------------------------------

    def _on_task(self, message: TaskStatus) -> None:
        if message.task_id != self._task.task_id:
            self._rule.reset()
            self._round = 0
        self._task = message

    def _on_gate(self, message: SafetyStatus) -> None:
        judged = message.chunks_accepted + message.chunks_limited + message.chunks_rejected
        self._rule.on_gate(ns_from_stamp(message.header.stamp), message.queue_duration, judged)

    def _schedule(self) -> None:
        if not self.active or self._task.state not in _RUNNING:
            return
        if self._worker is not None and self._worker.is_alive():
            return
        stamp_ns = self._camera.newest_stamp_ns()
        if stamp_ns is None or not self._rule.ready(stamp_ns, self.steady_s()):
            return
        task = self._task
        self._rule.on_forecast(self.steady_s())
        self._worker = self.in_thread("forecast", lambda: self._forecast_for(task))

    def _forecast_for(self, task: TaskStatus) -> None:
        frame = self._fresh_frame()
        started_s = self.steady_s()
        query = self._selector.select(frame, self.settings.max_points)
        selected_s = self.steady_s()
        self._round += 1
        self._sequence += 1
        with self._model_lock:
            forecast = self._forecaster.forecast(
                frame, task.instruction, query, num_samples=self.settings.num_samples,
                seed=self.settings.seed * 1000 + self._round, sequence=self._sequence,
            )
        self.facts["select_ms"] = f"{(selected_s - started_s) * 1e3:.1f}"
        self.facts["forecast_ms"] = f"{forecast.inference_s * 1e3:.1f}"
        if self._task.task_id == task.task_id and self._task.state in _RUNNING:
            self._traces.publish(msg_from_forecast(forecast, task.task_id))

    def _fresh_frame(self) -> RgbdFrame:
        """Return the newest frame.

        Raises:
            StaleObservationError: there is none, or it is too old or from the future.
        """
        frame = self._camera.newest_frame()
        if frame is None:
            raise StaleObservationError("no synchronised colour, depth and camera_info yet")
        age_s = (self.now_ns() - frame.stamp_ns) * 1e-9
        if not -0.1 <= age_s <= self.settings.max_image_age_s:
            raise StaleObservationError(
                f"newest image is {age_s:.3f} s old, allowed 0..{self.settings.max_image_age_s}; "
                f"node clock {self.now_ns()} ns, image clock {frame.stamp_ns} ns"
            )
        return frame

    # -- services --------------------------------------------------------------------------------

    def _query(self, message, frame: RgbdFrame) -> QueryPoints:
        if len(message.ids) == 0:
            return self._selector.select(frame, self.settings.max_points)
        query = query_from_msg(message)
        if len(query) > self.settings.max_points:
            raise RequestError(f"{len(query)} query points, at most {self.settings.max_points}")
        if (query.width, query.height) != (frame.intrinsics.width, frame.intrinsics.height):
            raise ObservationError(
                f"query points refer to {query.width}x{query.height} pixels, the image has "
                f"{frame.intrinsics.width}x{frame.intrinsics.height}"
            )
        return backends.with_depth(query, frame)

    def _on_predict(self, request, response):
        try:
            frame = self._fresh_frame()
            query = self._query(request.query_points, frame)
            with self._model_lock:
                for k in range(max(1, request.num_hypotheses)):
                    forecast = self._forecaster.forecast(
                        frame, request.instruction, query, seed=request.seed % 2**31 + k
                    )
                    response.hypotheses.append(msg_from_forecast(forecast))
            response.error = error_code()
        except Exception as error:
            response.error = error_from(error, self.get_fully_qualified_name())
        return response

    def _on_select(self, request, response):
        try:
            frame = self._fresh_frame()
            count = request.max_points or self.settings.max_points
            response.query_points = msg_from_query(self._selector.select(frame, count))
            response.query_points.header.frame_id = frame.frame_id
            response.error = error_code()
        except Exception as error:
            response.error = error_from(error, self.get_fully_qualified_name())
        return response

    def _on_load(self, request, response):
        p = self.settings
        try:
            loaded = backends.make_forecaster(p.backend, request.model_id, p.device, p.fake_fault)
            with self._model_lock:
                self._forecaster = loaded  # the old model serves until here
            response.info = self._info_message()
            response.error = error_code()
            self._info_due = True
        except Exception as error:
            response.error = error_from(error, self.get_fully_qualified_name())
        return response


def main() -> None:
    """Run the node."""
    raise SystemExit(run(TraceForecasterNode))


if __name__ == "__main__":
    main()
