# SPDX-License-Identifier: Apache-2.0
"""One task at a time, asked for by service or action; it starts, watches and ends the loop.

`TaskRun` holds the rules without ROS; the node translates. Service ``execute_task`` answers at once,
action ``run_task`` gives feedback and can be cancelled, ``cancel_task`` reaches both.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass

import numpy as np
from mu0.action import ExecuteTask as ExecuteTaskAction
from mu0.msg import ActionChunk, SafetyStatus, TaskStatus, TraceArray
from mu0.srv import CancelTask, ExecuteTask
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future
from unique_identifier_msgs.msg import UUID

from mu0_core.errors import RequestError
from mu0_core.inference.instruction import checked_instruction, for_log
from mu0_core.inference.monitor import MonitorSettings, RemainingMotionMonitor
from mu0_ros import qos
from mu0_ros.conversions.error_code import error_code, error_from
from mu0_ros.conversions.stamp import duration_from_s, ns_from_stamp, s_from_duration
from mu0_ros.conversions.trace import forecast_from_msg
from mu0_ros.lifecycle import Mu0LifecycleNode, run
from mu0_ros.params import parameter
from mu0_ros.task_run import Counts, TaskLimits, TaskRun

_STATES = {
    "SUCCEEDED": TaskStatus.STATE_SUCCEEDED,
    "CANCELED": TaskStatus.STATE_CANCELED,
    "ABORTED": TaskStatus.STATE_ABORTED,
}


@dataclass(frozen=True)
class TaskServerParameters:
    """Parameters of the node."""

    max_duration_s: float = parameter(60.0, "default time for a task", unit="s", low=1.0, high=3600.0)
    max_rejected_chunks: int = parameter(3, "rejections in a row that end a task", low=1, high=100)
    inference_timeout_s: float = parameter(
        15.0, "longest time without a new forecast or chunk", unit="s", low=0.5, high=300.0
    )
    still_m: float = parameter(
        0.03, "forecast motion below which nothing is left to do", unit="m", low=0.001, high=0.5
    )
    patience: int = parameter(2, "still forecasts in a row that end a task", low=1, high=20)


class TaskServerNode(Mu0LifecycleNode):
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
        self._safety = SafetyStatus()
        self._status = self.create_lifecycle_publisher(TaskStatus, "task_status", qos.LATCHED)
        for kind, topic, callback, profile in (
            (TraceArray, "traces", self._on_traces, qos.NEWEST),
            (ActionChunk, "action_chunk", self._on_chunk, qos.NEWEST),
            (SafetyStatus, "safety_status", self._on_safety, qos.LATCHED),
        ):
            self.create_subscription(kind, topic, self.guard(topic, callback), profile)
        self.create_service(ExecuteTask, "execute_task", self._on_execute)
        self.create_service(CancelTask, "cancel_task", self._on_cancel)
        self._action = ActionServer(
            self, ExecuteTaskAction, "run_task", self._run_goal,
            goal_callback=self._on_goal, cancel_callback=self._on_goal_cancel,
        )
        self.create_timer(0.1, self.guard("watch", self._watch), clock=self.steady)

    def halt(self) -> None:
        """End a running task; the gate brakes when it hears so."""
        if hasattr(self, "_lock"):
            self._end("ABORTED", "DEACTIVATED", "the task server was deactivated")
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
                raise _refusal("NOT_READY", "the task server is not active")
            if self._run is not None and self._run.end is None:
                raise _refusal("BUSY", "another task is running")
            limits = TaskLimits.from_request(
                s_from_duration(request.max_duration), float(request.speed_scale),
                self.settings.max_duration_s, self.settings.inference_timeout_s,
                self.settings.max_rejected_chunks,
            )
            instruction = checked_instruction(request.instruction)
            self._monitor.reset()
            judged = self._counts()
            self._run = TaskRun(instruction, uuid.uuid4().bytes, limits, self.steady_s(), judged)
            self._message = TaskStatus(
                state=TaskStatus.STATE_EXECUTING, instruction=instruction,
                task_id=UUID(uuid=np.frombuffer(self._run.task_id, np.uint8)),
                speed_scale=limits.speed_scale, dry_run=request.dry_run,
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

    def _on_goal(self, goal) -> GoalResponse:
        with self._lock:
            free = self.active and (self._run is None or self._run.end is not None)
        try:
            checked_instruction(goal.instruction)
        except RequestError as error:
            self.report(f"goal refused: {error}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT if free else GoalResponse.REJECT

    async def _run_goal(self, handle):
        result = ExecuteTaskAction.Result()
        try:
            begun = self._begin(handle.request)
        except RequestError as error:
            result.error = error_from(error, self.get_fully_qualified_name())
            handle.abort()
            return result
        finished = Future(executor=self.executor)
        self.in_thread("feedback", lambda: self._feed(handle, begun, finished))
        await finished
        end = begun.end
        result.error = error_code(end.code, end.message, self.get_fully_qualified_name())
        result.outcome = ExecuteTaskAction.Result.OUTCOME_UNKNOWN  # nobody here knows the truth
        result.elapsed = duration_from_s(end.elapsed_s)
        result.chunks_executed, result.chunks_rejected = begun.executed, begun.rejected
        finish = {"SUCCEEDED": handle.succeed, "CANCELED": handle.canceled}.get(end.state, handle.abort)
        if end.state == "CANCELED" and not handle.is_cancel_requested:
            finish = handle.abort  # cancelled through the service: the action protocol has no word
        finish()
        return result

    def _feed(self, handle, begun: TaskRun, finished: Future) -> None:
        try:
            while begun.end is None:
                if handle.is_cancel_requested:
                    self._end("CANCELED", "CANCELED", "cancelled by the action client")
                    self._publish()
                    break
                handle.publish_feedback(ExecuteTaskAction.Feedback(status=self._message))
                time.sleep(0.1)
        finally:
            finished.set_result(None)

    def _on_goal_cancel(self, handle) -> CancelResponse:
        return CancelResponse.ACCEPT

    def _on_cancel(self, request, response):
        wanted = bytes(bytearray(request.task_id.uuid))
        with self._lock:
            current = self._run
            named = current is not None and wanted in (bytes(16), current.task_id)
            if named:
                self._end("CANCELED", "CANCELED", "cancelled by service")
        self._publish()
        response.error = error_code()
        return response

    # -- watching --------------------------------------------------------------------------------

    def _counts(self) -> Counts:
        s = self._safety
        return Counts(s.chunks_accepted + s.chunks_limited, s.chunks_rejected)

    def _mine(self, message) -> bool:
        return (
            self._run is not None
            and self._run.end is None
            and bytes(bytearray(message.task_id.uuid)) == self._run.task_id
        )

    def _on_traces(self, message: TraceArray) -> None:
        with self._lock:
            if not self._mine(message):
                return
            forecast = forecast_from_msg(message)
            self._run.saw_inference(self.steady_s())
            self._message.progress = self._monitor.update(forecast)
            self._message.trace_sequence = message.sequence
            self._message.inference_time = float(forecast.inference_s)
            self._message.observation_age = (self.now_ns() - ns_from_stamp(message.header.stamp)) * 1e-9
            if self._message.progress >= 1.0:
                self._end("SUCCEEDED", "SUCCESS", "no further motion is forecast")
        self._publish()

    def _on_chunk(self, message: ActionChunk) -> None:
        with self._lock:
            if self._mine(message):
                self._run.saw_inference(self.steady_s())
                self._message.chunk_sequence = message.sequence

    def _on_safety(self, message: SafetyStatus) -> None:
        with self._lock:
            self._safety = message
            self._message.queue_duration = message.queue_duration
            if self._run is None or self._run.end is not None:
                return
            cause = (message.cause.value, message.cause.message)
            self._run.saw_gate(
                self._counts(), message.state == SafetyStatus.STATE_LATCHED, cause,
                message.queue_duration > 0, self.steady_s(),
            )
            self._after_rules()

    def _watch(self) -> None:
        with self._lock:
            if self._run is not None and self._run.end is None:
                self._run.check_time(self.steady_s())
                self._after_rules()
        self._publish()

    def _after_rules(self) -> None:
        if self._run.end is not None and self._message.state == TaskStatus.STATE_EXECUTING:
            self._show_end()
            self._publish()

    def _end(self, state: str, code: str, message: str) -> None:
        with self._lock:
            if self._run is not None and self._run.end is None:
                self._run.finish(state, code, message, self.steady_s())
                self._show_end()

    def _show_end(self) -> None:
        end = self._run.end
        self._message.state = _STATES[end.state]
        self._message.error = error_code(end.code, end.message, self.get_fully_qualified_name())
        self._message.elapsed = duration_from_s(end.elapsed_s)
        self.get_logger().info(f"task {end.state.lower()}: {end.code} {end.message}")

    def _publish(self) -> None:
        with self._lock:
            self._message.header.stamp = self.get_clock().now().to_msg()
            if self._run is not None and self._run.end is None:
                self._message.elapsed = duration_from_s(self.steady_s() - self._run.started_s)
            self._status.publish(self._message)


def _refusal(code: str, message: str) -> RequestError:
    error = RequestError(message)
    error.code = code
    return error


def main() -> None:
    """Run the node."""
    raise SystemExit(run(TaskServerNode))


if __name__ == "__main__":
    main()
