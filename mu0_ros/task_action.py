# SPDX-License-Identifier: Apache-2.0
"""The action ``run_task`` of the task server: feedback, cancelling, and a client that dies."""

from __future__ import annotations

import time

from mu0.action import ExecuteTask
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future

from mu0_core.errors import RequestError
from mu0_core.inference.instruction import checked_instruction
from mu0_ros.client_watch import ClientWatch
from mu0_ros.conversions.error_code import error_from
from mu0_ros.task_report import result_of
from mu0_ros.task_run import TaskRun

_NAME = "run_task"


class TaskAction:
    """Part of `TaskServerNode`, which has what is used here."""

    def offer_action(self) -> ActionServer:
        """Make the action server; its owner destroys it."""
        return ActionServer(
            self,
            ExecuteTask,
            _NAME,
            self._run_goal,
            goal_callback=self._on_goal,
            cancel_callback=self._on_goal_cancel,
        )

    def _on_goal(self, goal) -> GoalResponse:
        with self._lock:
            free = self.active and (self._run is None or self._run.closed)
        try:
            checked_instruction(goal.instruction)
        except RequestError as error:
            self.report(f"goal refused: {error}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT if free else GoalResponse.REJECT

    async def _run_goal(self, handle):
        try:
            begun = self._begin(handle.request)
        except RequestError as error:
            handle.abort()
            refused = error_from(error, self.get_fully_qualified_name())
            return ExecuteTask.Result(error=refused)
        finished = Future(executor=self.executor)
        self.in_thread("feedback", lambda: self._feed(handle, begun, finished))
        await finished
        end, result = begun.end, result_of(begun, self.get_fully_qualified_name())
        if end.state == "SUCCEEDED":
            handle.succeed()
        elif end.state == "CANCELED" and handle.is_cancel_requested:
            handle.canceled()
        else:  # also cancelled through the service: the action protocol has no word for that
            handle.abort()
        return result

    def _feed(self, handle, begun: TaskRun, finished: Future) -> None:
        client = ClientWatch(self, _NAME, self.settings.stop_without_client)
        try:
            while not begun.closed:
                if handle.is_cancel_requested and begun.end is None:
                    self._cancel(begun, "by the action client")
                elif begun.end is None and client.is_gone():
                    self._cancel(begun, "because the action client is gone")
                handle.publish_feedback(ExecuteTask.Feedback(status=self._message))
                time.sleep(0.1)
        finally:
            finished.set_result(None)

    def _on_goal_cancel(self, handle) -> CancelResponse:
        return CancelResponse.ACCEPT  # `_feed` sees it within 0.1 s
