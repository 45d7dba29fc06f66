# SPDX-License-Identifier: Apache-2.0
"""RGB-D and an instruction in, `TraceArray` out: the world model's node.

While a task runs it forecasts once per motion, on an image taken after the arm came to rest.
Services forecast without moving anything, choose query points, and load another model of the
registry. What goes wrong is told on ``faults``, so that the task server can name the cause.
"""

from __future__ import annotations

import threading
import time

from geometry_msgs.msg import TransformStamped
from mu0.msg import ErrorCode, ModelInfo, QueryPoints, SafetyStatus, TaskStatus, TraceArray
from std_srvs.srv import Trigger

from mu0_core.errors import Mu0Error, ObservationError, StaleObservationError
from mu0_core.observation.depth_checks import check_any_depth
from mu0_core.observation.rules import CameraRules
from mu0_core.types import RgbdFrame
from mu0_ros import backends, qos
from mu0_ros.camera_mount import CameraMount
from mu0_ros.camera_stream import CAMERA_TOPICS, CameraStream
from mu0_ros.conversions.error_code import code_name, error_from
from mu0_ros.conversions.stamp import ns_from_stamp
from mu0_ros.conversions.trace import msg_from_forecast
from mu0_ros.diagnostics import SeedLog, StageTimes
from mu0_ros.forecast_services import ForecastServices
from mu0_ros.forecaster_parameters import TraceForecasterParameters
from mu0_ros.lifecycle import Mu0LifecycleNode
from mu0_ros.node_process import run
from mu0_ros.observation_time import check_age
from mu0_ros.partners import missing
from mu0_ros.replan import ReplanRule
from mu0_ros.task_run import refusal
from mu0_ros.task_states import RUNNING
from mu0_ros.worker import Worker


class TraceForecasterNode(ForecastServices, Mu0LifecycleNode):
    """Forecasts on demand of the running task; one worker thread computes."""

    def __init__(self) -> None:
        super().__init__("trace_forecaster", TraceForecasterParameters)

    def setup(self) -> None:
        """Load the model; make publishers, subscriptions, services, camera and worker."""
        p = self.settings
        self._selector = backends.make_selector(p.backend)
        self._load(p.model_id)
        self._task = TaskStatus()
        self._rule = ReplanRule(p.replan_lead_s, p.settle_s, p.answer_timeout_s)
        self._schedule_lock = threading.Lock()
        self._sequence, self._round = 0, 0
        self._blind_since_s = self._looked_s = 0.0
        self._mount, self._moves = CameraMount(self._on_camera_moved), 0
        self._stop = self.create_client(Trigger, "safety_gate/stop")
        self.needs = (*CAMERA_TOPICS, "task_status", "safety_status")
        self._wanted_points: QueryPoints | None = None
        self._times, self._seeds = StageTimes(self.facts), SeedLog(self.facts)
        self._traces = self.create_lifecycle_publisher(TraceArray, "traces", qos.NEWEST)
        self._model_info = self.create_lifecycle_publisher(ModelInfo, "model_info", qos.LATCHED)
        self._faults = self.create_lifecycle_publisher(ErrorCode, "faults", qos.COMMAND)
        for kind, topic, callback, profile in (
            (TaskStatus, "task_status", self._on_task, qos.LATCHED),
            (SafetyStatus, "safety_status", self._on_gate, qos.LATCHED),
            (QueryPoints, "query_points", self._on_query_points, qos.NEWEST),
            (ErrorCode, "faults", self._on_fault, qos.COMMAND),
            (TransformStamped, "camera_pose", self._mount.on_pose, qos.LATCHED),
        ):
            self.create_subscription(kind, topic, self.guard(topic, callback), profile)
        self.offer_services()
        schedule = self.guard("schedule", self._schedule)
        self.create_timer(0.05, schedule, clock=self.steady)
        self._worker = Worker("forecast", lambda error: self._fail("forecast", error))
        rules = CameraRules(
            (p.min_depth_m, p.max_depth_m),
            p.depth_scale,
            p.depth_offset_m,
            p.rectified,
            p.check_registration,
        )
        self._camera = CameraStream(self, p.sync_slop_s, rules, on_pair=schedule)

    def teardown(self) -> None:
        """Close camera and worker."""
        if hasattr(self, "_camera"):
            self._camera.close()
            self._worker.close()
            del self._camera

    def _load(self, model_id: str) -> None:
        p = self.settings
        forecaster = backends.make_forecaster(p.backend, model_id, p.device, p.fake_fault)
        info = backends.model_info(
            forecaster.model_id, ModelInfo.KIND_WORLD_MODEL, p.device, p.max_points
        )
        info.header.stamp = self.get_clock().now().to_msg()
        self._forecaster, self._info, self._info_due = forecaster, info, True

    # -- schedule --------------------------------------------------------------------------------

    def _on_task(self, message: TaskStatus) -> None:
        if message.task_id != self._task.task_id:
            self._rule.reset()
            self._round = 0
        self._task = message

    def _on_gate(self, message: SafetyStatus) -> None:
        judged = message.chunks_accepted + message.chunks_limited + message.chunks_rejected
        self._rule.on_gate(ns_from_stamp(message.header.stamp), message.queue_duration, judged)

    def _on_query_points(self, message: QueryPoints) -> None:
        self._wanted_points = message  # for the next forecast only: they belong to one image

    def _on_fault(self, message: ErrorCode) -> None:
        if message.source != self.get_fully_qualified_name():
            self._rule.on_failure(self.steady_s())  # no chunk will come

    def _on_camera_moved(self, fault: ObservationError) -> None:
        """Brake, and forecast next from an image of the camera's new place."""
        self._moves += 1
        self._rule.on_camera_moved(self.now_ns())
        if self.active and self._task.state in RUNNING:
            self._tell_fault("camera", fault)
            if self._stop.service_is_ready():
                self._stop.call_async(Trigger.Request())

    def _schedule(self) -> None:
        """Start a forecast if one is due; called for each new image and by a steady timer."""
        if not self.active:
            return
        with self._schedule_lock:
            if self._info_due:
                self._info_due = False
                self._model_info.publish(self._info)
            if self._worker.busy_s > self.settings.inference_timeout_s:
                self._abandon()
            if self._task.state not in RUNNING or self._worker.busy:
                return
            stamp_ns = self._camera.newest_stamp_ns()
            self._watch_camera(stamp_ns)
            if stamp_ns is None or not self._rule.ready(stamp_ns, self.steady_s()):
                return
            task, begun_s = self._task, time.monotonic()
            self._rule.on_forecast(self.steady_s())
            if not self._worker.try_start(lambda: self._forecast_for(task, begun_s)):
                self._rule.on_failure(self.steady_s())  # a service was quicker

    def _watch_camera(self, stamp_ns: int | None) -> None:
        """Tell when no new images come while a task runs, or with stamps of another clock."""
        now_s, allowed_s = time.monotonic(), self.settings.max_image_age_s
        if now_s - self._blind_since_s < 0.5:
            return
        fault: Mu0Error | None = None
        try:
            if stamp_ns is not None:
                check_age("image", stamp_ns, self.now_ns(), allowed_s)
        except StaleObservationError:
            pass  # a slow camera is judged when its image is wanted, a silent one here
        except ObservationError as error:
            fault = error
        silent_s = now_s - self._camera.arrived_s
        if fault is None and silent_s > allowed_s:  # also when the data clock stands still
            last = "none ever came" if stamp_ns is None else f"last stamp {stamp_ns} ns"
            text = f"no new pair of colour and depth for {silent_s:.2f} s ({last})"
            nobody = missing(self, CAMERA_TOPICS, silent_s)
            fault = refusal("NOT_READY", nobody) if nobody else StaleObservationError(text)
        fault = fault or self._look(now_s)
        if fault is None:
            return
        self._blind_since_s = now_s
        self._tell_fault("camera", fault)

    def _look(self, now_s: float) -> Mu0Error | None:
        """Look at what comes in between forecasts: what is wrong is told while the arm moves."""
        if now_s - self._looked_s < 0.5:
            return None
        self._looked_s = now_s
        try:
            frame = self._camera.newest_frame()
            if frame is not None:
                check_any_depth(frame)
        except Mu0Error as error:
            return error
        return None

    def _abandon(self) -> None:
        """Go on without a forecast that hangs; the model it holds is loaded anew."""
        self._worker.abandon()
        self._fail("forecast", TimeoutError(f"hung for {self.settings.inference_timeout_s} s"))
        if self.settings.backend == "model":
            model_id = self._forecaster.model_id
            self._worker.try_start(lambda: self._load(model_id))

    def _fail(self, where: str, error: Exception) -> None:
        self._rule.on_failure(self.steady_s())
        self._tell_fault(where, error)

    def _tell_fault(self, where: str, error: Exception) -> None:
        self.counters[f"{where}: {type(error).__name__}"] += 1
        message = error_from(backends.as_inference_error(error), self.get_fully_qualified_name())
        self.report(f"{where}: {code_name(message)}: {message.message}")
        self._faults.publish(message)

    # -- the worker's thread ---------------------------------------------------------------------

    def _forecast_for(self, task: TaskStatus, begun_s: float) -> None:
        self._times.begin()
        waited_s = begun_s - self._camera.arrived_s
        moves, frame = self._moves, self._fresh_frame()
        self._times.lap("decode")
        age_s = (self.now_ns() - frame.stamp_ns) * 1e-9
        self._times.add("receive", max(0.0, age_s - (time.monotonic() - begun_s) - waited_s))
        self._times.add("wait", waited_s)
        wanted, self._wanted_points = self._wanted_points, None
        query = backends.choose_points(self._selector, wanted, frame, self.settings.max_points)
        self._times.lap("select")
        self._round += 1
        self._sequence += 1
        forecast = self._forecaster.forecast(
            frame,
            task.instruction,
            query,
            num_samples=self.settings.num_samples,
            seed=self._seeds.note(self._sequence, self.settings.seed * 1000 + self._round),
            sequence=self._sequence,
        )
        self._times.lap("forecast")
        if moves != self._moves:
            raise StaleObservationError("the camera was moved while this was forecast")
        if self._task.task_id == task.task_id and self._task.state in RUNNING:
            self._traces.publish(msg_from_forecast(forecast, task.task_id))
            self._times.lap("publish")
            total_s = time.monotonic() - begun_s
            self._times.add("image_to_traces_without_model", total_s - forecast.inference_s)

    def _fresh_frame(self) -> RgbdFrame:
        frame = self._camera.newest_frame()
        if frame is None:
            raise StaleObservationError("no synchronised colour, depth and camera_info yet")
        check_age("image", frame.stamp_ns, self.now_ns(), self.settings.max_image_age_s)
        return frame


def main() -> None:
    """Run the node."""
    raise SystemExit(run(TraceForecasterNode))


if __name__ == "__main__":
    main()
