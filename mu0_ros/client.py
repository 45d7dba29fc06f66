# SPDX-License-Identifier: Apache-2.0
"""A small client of the task service and the simulator's bench services, with steady time-outs."""

from __future__ import annotations

import time
from dataclasses import dataclass

import rclpy
from mu0.msg import TaskStatus
from mu0.srv import EvaluateScene, ExecuteTask, ResetScene
from rclpy.node import Node
from std_srvs.srv import Trigger

from mu0_core.errors import Mu0Error
from mu0_ros import qos
from mu0_ros.conversions.stamp import duration_from_s

_ENDED = (TaskStatus.STATE_SUCCEEDED, TaskStatus.STATE_CANCELED, TaskStatus.STATE_ABORTED)


class ClientError(Mu0Error):
    """A service did not answer, or refused."""

    code = "NOT_READY"


@dataclass(frozen=True)
class TaskEnd:
    """How a task ended."""

    state: int
    message: str
    elapsed_s: float


class TaskClient(Node):
    """Calls services synchronously; spins itself.

    Attributes:
        answer_s: longest wait for the answer of a service.
        gate_sees_s: from a new scene to the gate's having seen where the arm stands now.
    """

    answer_s, gate_sees_s = 30.0, 0.5

    def __init__(self, namespace: str = "/mu0") -> None:
        super().__init__("task_client", namespace=namespace)
        self.status = TaskStatus()
        self.create_subscription(TaskStatus, "task_status", self._on_status, qos.LATCHED)
        self._execute = self.create_client(ExecuteTask, "execute_task")
        self._reset = self.create_client(ResetScene, "simulator/reset_scene")
        self._judge = self.create_client(EvaluateScene, "simulator/evaluate_scene")
        self._unlatch = self.create_client(Trigger, "safety_gate/reset")

    def _on_status(self, message: TaskStatus) -> None:
        self.status = message

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait for the services of task server and simulator.

        Raises:
            ClientError: one is not there in time.
        """
        for client in (self._execute, self._reset, self._judge, self._unlatch):
            if not client.wait_for_service(timeout_sec=timeout_s):
                raise ClientError(f"no service {client.srv_name} after {timeout_s} s")

    def wait_for_topic(self, topic: str, timeout_s: float) -> None:
        """Wait until somebody publishes a topic (models are loaded then).

        Raises:
            ClientError: nobody does in time.
        """
        end = time.monotonic() + timeout_s
        while self.count_publishers(topic) == 0:
            if time.monotonic() > end:
                raise ClientError(f"no publisher on {topic} after {timeout_s} s")
            rclpy.spin_once(self, timeout_sec=0.1)

    def wait_for_stack(self, timeout_s: float) -> None:
        """Wait for the services and for every topic between the nodes.

        Raises:
            ClientError: something is missing after ``timeout_s``; names it.
        """
        self.wait_until_ready(timeout_s)
        for topic in ("traces", "action_chunk", "safety_status"):
            self.wait_for_topic(f"/mu0/{topic}", timeout_s)

    def _answer(self, client, request):
        future = client.call_async(request)
        rclpy.spin_until_future_complete(self, future, timeout_sec=self.answer_s)
        if not future.done():
            raise ClientError(f"{client.srv_name} did not answer in {self.answer_s} s")
        return future.result()

    def _call(self, client, request):
        answer = self._answer(client, request)
        if answer.error.value != 0:
            raise ClientError(f"{client.srv_name}: {answer.error.message}")
        return answer

    def reset_scene(self, seed: int) -> dict[str, str]:
        """Lay out a scene and unlatch the gate; return task -> instruction.

        An arm that is put elsewhere while it moves, which a real one cannot be, latches the gate;
        only this bench knows why.
        """
        answer = self._call(self._reset, ResetScene.Request(seed=seed))
        end = time.monotonic() + self.gate_sees_s
        while time.monotonic() < end:
            rclpy.spin_once(self, timeout_sec=0.1)
        unlatched = self._answer(self._unlatch, Trigger.Request())
        if not unlatched.success:
            raise ClientError(f"{self._unlatch.srv_name}: {unlatched.message}")
        return dict(zip(answer.tasks, answer.instructions))

    def judge(self) -> dict[str, bool]:
        """Return task -> achieved."""
        answer = self._call(self._judge, EvaluateScene.Request())
        return dict(zip(answer.tasks, answer.success))

    def run_task(self, instruction: str, max_duration_s: float, on_status=None) -> TaskEnd:
        """Ask for a task and wait for its end."""
        request = ExecuteTask.Request(instruction=instruction)
        request.max_duration = duration_from_s(max_duration_s)
        started = time.monotonic()
        task_id = self._call(self._execute, request).task_id
        while time.monotonic() - started < max_duration_s + 20.0:
            rclpy.spin_once(self, timeout_sec=0.1)
            if on_status is not None:
                on_status(self.status)
            if self.status.task_id == task_id and self.status.state in _ENDED:
                elapsed = time.monotonic() - started
                return TaskEnd(self.status.state, self.status.error.message, elapsed)
        raise ClientError(f"task did not end within {max_duration_s + 20.0} s")
