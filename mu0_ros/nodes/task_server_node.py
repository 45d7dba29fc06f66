# SPDX-License-Identifier: Apache-2.0
"""One task at a time, asked for by service or action; it starts, watches and ends the loop.

`TaskRun` holds the rules without ROS; the node translates. Service ``execute_task`` answers at
once, action ``run_task`` gives feedback and can be cancelled, ``cancel_task`` reaches both. An end
is announced when the gate says that the arm is at rest.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass

import numpy as np
from mu0.msg import ActionChunk, ErrorCode, QueryPoints, SafetyStatus, TaskStatus, TraceArray
from mu0.srv import CancelTask, ExecuteTask
from unique_identifier_msgs.msg import UUID

from mu0_core.inference.instruction import checked_instruction, for_log
from mu0_core.inference.monitor import MonitorSettings, RemainingMotionMonitor
from mu0_ros import qos
from mu0_ros.conversions.error_code import code_name, error_code, error_from
from mu0_ros.conversions.query_points import query_from_msg
from mu0_ros.conversions.stamp import ns_from_stamp, s_from_duration
from mu0_ros.conversions.trace import forecast_from_msg
from mu0_ros.lifecycle import Mu0LifecycleNode
from mu0_ros.node_process import run
from mu0_ros.params import parameter
from mu0_ros.task_action import TaskAction
from mu0_ros.task_report import fill_status
from mu0_ros.task_run import Counts, TaskLimits, TaskRun, refusal
from mu0_ros.task_states import ENDED


@dataclass(frozen=True)
class TaskServerParameters:
    """Parameters of the node."""

    max_duration_s: float = parameter(
        60.0, "default time for a task", unit="s", low=1.0, high=3600.0
    )
    max_rejected_chunks: int = parameter(3, "rejections in a row that end a task", low=1, high=100)
    inference_timeout_s: float = parameter(
        15.0, "longest time without a new forecast or chunk", unit="s", low=0.5, high=300.0
    )
    max_failures: int = parameter(3, "failed inferences in a row that end a task", low=1, high=100)
    still_m: float = parameter(
        0.03, "forecast motion below which nothing is left to do", unit="m", low=0.001, high=0.5
    )
    patience: int = parameter(2, "still forecasts in a row that end a task", low=1, high=20)
    stop_without_client: bool = parameter(
        True, "cancel a task of the action when its client is gone; one of the service goes on"
    )


class TaskServerNode(TaskAction, Mu0LifecycleNode):
    """Serves tasks; publishes the latched ``task_status``."""

    def __init__(self) -> None:
        super().__init__("task_server", TaskServerParameters)

    def setup(self) -> None:
        """Make services, the action server, publishers and subscriptions."""
        p = self.settings
        self._monitor = RemainingMotionMonitor(MonitorSettings(p.still_m, p.patience))
        self._lock = threading.RLock()
        self._run: TaskRun | None = None
        self._message = TaskStatus(state=TaskStatus.STATE_IDLE)
        self._safety, self._heard_s = SafetyStatus(), float("-inf")
        self.needs = ("traces", "action_chunk", "safety_status")
        self._status = self.create_lifecycle_publisher(TaskStatus, "task_status", qos.LATCHED)
        self._points = self.create_lifecycle_publisher(QueryPoints, "query_points", qos.NEWEST)
        for kind, topic, callback, profile in (
            (ErrorCode, "faults", self._on_fault, qos.COMMAND),
            (TraceArray, "traces", self._on_traces, qos.NEWEST),
            (ActionChunk, "action_chunk", self._on_chunk, qos.NEWEST),
        ):
            self.create_subscription(kind, topic, self.guard(topic, callback), profile)
        on_safety = self.guard("safety_status", self._on_safety)
        self._gate_topic = self.create_subscription(
            SafetyStatus, "safety_status", on_safety, qos.LATCHED
        )
        self.create_service(ExecuteTask, "execute_task", self._on_execute)
        self.create_service(CancelTask, "cancel_task", self._on_cancel)
        self._action = self.offer_action()
        self.create_timer(0.1, self.guard("watch", self._watch), clock=self.steady)

    def halt(self) -> None:
        """End a running task: the gate brakes when it hears so, then the end is announced."""
        current = self._run
        if current is None or current.closed:
            return
        self._finish("ABORTED", "DEACTIVATED", "the task server was deactivated")
        self._publish()
        while not current.closed:  # no callback runs while a transition does: look by hand
            taken = self._gate_topic.handle.take_message(SafetyStatus, False)
            if taken is not None:
                self._on_safety(taken[0])
            self._close_at_rest()
            time.sleep(0.02)
        self._publish()

    def teardown(self) -> None:
        """Close the action server."""
        if hasattr(self, "_action"):
            self._action.destroy()

    # -- beginning -------------------------------------------------------------------------------

    def _begin(self, request) -> TaskRun:
        """Start a task of a service or action request.

        Raises:
            RequestError: the request is not valid, or something is running (code BUSY).
        """
        with self._lock:
            if not self.active:
                raise refusal("NOT_READY", "the task server is not active")
            if nobody := self.missing():
                raise refusal("NOT_READY", nobody)
            if self._run is not None and not self._run.closed:
                raise refusal("BUSY", f"a task is running: {for_log(self._run.instruction)}")
            limits = TaskLimits.from_request(
                s_from_duration(request.max_duration),
                float(request.speed_scale),
                self.settings.max_duration_s,
                self.settings.inference_timeout_s,
                self.settings.max_rejected_chunks,
                self.settings.max_failures,
            )
            instruction = checked_instruction(request.instruction)
            if len(request.query_points.ids):
                query_from_msg(request.query_points)
                self._points.publish(request.query_points)
            self._monitor.reset()
            self._run = TaskRun(
                instruction, uuid.uuid4().bytes, limits, self.steady_s(), self._counts()
            )
            self._message = TaskStatus(
                instruction=instruction,
                task_id=UUID(uuid=np.frombuffer(self._run.task_id, np.uint8)),
                speed_scale=limits.speed_scale,
                dry_run=request.dry_run,
            )
            self.get_logger().info(f"task: {for_log(instruction)}")
            self._publish()
            return self._run

    def _on_execute(self, request, response):
        try:
            begun = self._begin(request)
            response.accepted = True
            response.task_id.uuid = np.frombuffer(begun.task_id, np.uint8)
            response.error = error_code()
        except Exception as error:
            response.accepted = False
            response.error = error_from(error, self.get_fully_qualified_name())
        return response

    def _on_cancel(self, request, response):
        wanted, current = bytes(bytearray(request.task_id.uuid)), self._run
        response.error = error_code()
        if current is not None and wanted in (bytes(16), current.task_id):
            self._cancel(current, "by service")
        elif wanted != bytes(16):
            response.error = error_code(
                "INVALID_REQUEST", f"no task {wanted.hex()}", self.get_fully_qualified_name()
            )
        return response

    def _cancel(self, current: TaskRun, who: str) -> None:
        with self._lock:
            if current is self._run:
                self._finish("CANCELED", "CANCELED", f"cancelled {who}")
        self._publish()

    # -- watching --------------------------------------------------------------------------------

    def _counts(self) -> Counts:
        s = self._safety
        return Counts(s.chunks_accepted + s.chunks_limited, s.chunks_rejected)

    def _mine(self, message: TraceArray | ActionChunk) -> bool:
        return self._running() and bytes(bytearray(message.task_id.uuid)) == self._run.task_id

    def _running(self) -> bool:
        return self._run is not None and self._run.end is None

    def _on_traces(self, message: TraceArray) -> None:
        with self._lock:
            if not self._mine(message):
                return
            forecast = forecast_from_msg(message)
            self._run.saw_forecast(self.steady_s())
            status = self._message
            status.progress = float(self._monitor.update(forecast))
            status.trace_sequence = message.sequence
            status.inference_time = float(forecast.inference_s)
            status.observation_age = (self.now_ns() - ns_from_stamp(message.header.stamp)) * 1e-9
            if status.progress >= 1.0:
                self._finish("SUCCEEDED", "SUCCESS", "no further motion is forecast")
        self._publish()

    def _on_chunk(self, message: ActionChunk) -> None:
        with self._lock:
            if self._mine(message):
                self._run.saw_chunk(self.steady_s())
                self._message.chunk_sequence = message.sequence

    def _on_fault(self, message: ErrorCode) -> None:
        with self._lock:
            if self._running():
                self._run.saw_fault(code_name(message), message.message, self.steady_s())
        self._publish()

    def _on_safety(self, message: SafetyStatus) -> None:
        with self._lock:
            self._safety, self._heard_s = message, self.steady_s()
            self._message.queue_duration = message.queue_duration
            if self._running():
                self._run.saw_gate(
                    self._counts(),
                    message.state == SafetyStatus.STATE_LATCHED,
                    (code_name(message.cause), message.cause.message),
                    message.queue_duration > 0,
                    self._heard_s,
                )

    def _watch(self) -> None:
        with self._lock:
            if self._running():
                self._run.check_time(self.steady_s())
        self._close_at_rest()
        self._publish()

    def _close_at_rest(self) -> None:
        with self._lock:
            if self._run is not None:
                self._run.close_at_rest(
                    self._safety.queue_duration, self._heard_s, self.steady_s()
                )

    def _finish(self, state: str, code: str, message: str) -> None:
        if self._run is not None:
            self._run.finish(state, code, message, self.steady_s())

    def _publish(self) -> None:
        """Publish the status of the task as its rules see it."""
        with self._lock:
            message, current = self._message, self._run
            message.header.stamp = self.get_clock().now().to_msg()
            if current is not None:
                was, source = message.state, self.get_fully_qualified_name()
                fill_status(message, current, self.steady_s(), source)
                if message.state in ENDED and message.state != was:
                    end = current.end
                    self.get_logger().info(f"task {end.state.lower()}: {end.code} {end.message}")
            self._status.publish(message)


def main() -> None:
    """Run the node."""
    raise SystemExit(run(TaskServerNode))


if __name__ == "__main__":
    main()
