# SPDX-License-Identifier: Apache-2.0
"""Service ``~/go_home``: a planned motion to the home pose, as a task like any other.

The gate passes chunks of the running task only: a task is begun (``execute_task``), its chunk is
proposed, and the task is ended (``cancel_task``) when the arm is at home. It can be cancelled on
the way, and is refused while another task runs. Nothing goes around the gate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mu0.msg import SafetyStatus, TaskStatus
from mu0.srv import CancelTask, ExecuteTask
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger
from unique_identifier_msgs.msg import UUID

from mu0_core.errors import Mu0Error, PlannerUnavailableError, RequestError
from mu0_core.types import ActionChunk
from mu0_ros import qos
from mu0_ros.conversions.error_code import code_name
from mu0_ros.task_states import ENDED

INSTRUCTION = "go home"
_PERIOD_S = 0.05
_GATE_ANSWERS_S = 3.0
_SETTLES_S = 0.5

# Plans in the worker's thread: task id -> done(chunk or error).
Begin = Callable[[bytes, Callable[[ActionChunk | Exception], None]], bool]


class HomeMotion:
    """Serves ``~/go_home`` for a node.

    Args:
        node: a `Mu0LifecycleNode`.
        begin: starts planning; says False when the worker is busy.
        propose: publishes a chunk.
        is_home: says whether the arm stands at home.
    """

    def __init__(
        self,
        node: Node,
        begin: Begin,
        propose: Callable[[ActionChunk], None],
        is_home: Callable[[], bool],
    ) -> None:
        self._node, self._begin, self._propose, self._is_home = node, begin, propose, is_home
        self.task_id = b""
        self._task, self._gate = TaskStatus(), SafetyStatus()
        self._waits: list[tuple[Callable[[], bool], float, Future]] = []
        self._execute = node.create_client(ExecuteTask, "execute_task")
        self._cancel = node.create_client(CancelTask, "cancel_task")
        for kind, topic, callback in (
            (TaskStatus, "task_status", self._on_task),
            (SafetyStatus, "safety_status", self._on_gate),
        ):
            node.create_subscription(kind, topic, callback, qos.LATCHED)
        # a group of its own: while an answer is pending, its group's other callbacks wait
        group = ReentrantCallbackGroup()
        node.create_service(Trigger, "~/go_home", self._serve, callback_group=group)
        node.create_timer(_PERIOD_S, node.guard("go_home", self._look), clock=node.steady)

    def _on_task(self, message: TaskStatus) -> None:
        self._task = message

    def _on_gate(self, message: SafetyStatus) -> None:
        self._gate = message

    # -- waiting ---------------------------------------------------------------------------------

    def _look(self) -> None:
        for entry in list(self._waits):
            holds, until_s, future = entry
            held = holds()
            if held or self._node.steady_s() > until_s:
                self._waits.remove(entry)
                future.set_result(held)

    def _until(self, holds: Callable[[], bool], seconds: float) -> Future:
        """Return a future of whether a condition held within so many seconds."""
        future = Future(executor=self._node.executor)
        self._waits.append((holds, self._node.steady_s() + seconds, future))
        return future

    # -- the service -----------------------------------------------------------------------------

    async def _serve(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        try:
            response.message = await self._go()
            response.success = True
        except Mu0Error as error:
            response.success, response.message = False, f"{error.code}: {error}"
        except Exception as error:  # a defect must be told, not swallowed by rclpy
            response.success, response.message = False, f"{type(error).__name__}: {error}"
        if not response.success:
            self._node.report(f"go_home: {response.message}")
        return response

    async def _go(self) -> str:
        if not self._node.active:
            raise PlannerUnavailableError("the node is not active")
        if self.task_id:
            raise _refused("BUSY", "on the way home already")
        if self._is_home():
            return "the arm is at home"
        if not (self._execute.service_is_ready() and self._cancel.service_is_ready()):
            raise PlannerUnavailableError("no task server: the gate passes chunks of tasks only")
        begun = await self._execute.call_async(ExecuteTask.Request(instruction=INSTRUCTION))
        if not begun.accepted:
            raise _refused(code_name(begun.error), begun.error.message)
        self.task_id = bytes(bytearray(begun.task_id.uuid))
        try:
            return await self._run(self.task_id)
        finally:
            request = CancelTask.Request(task_id=UUID(uuid=list(self.task_id)))
            await self._cancel.call_async(request)
            self.task_id = b""

    async def _run(self, task_id: bytes) -> str:
        if not await self._until(lambda: self._mine() and not self._over(), _GATE_ANSWERS_S):
            raise _refused("NOT_READY", "the task server does not tell of the task on task_status")
        chunk = await self._planned(task_id)
        rejected, passed = self._gate.chunks_rejected, self._passed()
        self._propose(chunk)
        await self._until(
            lambda: self._gate.chunks_rejected != rejected or self._passed() != passed,
            _GATE_ANSWERS_S,
        )
        if self._gate.chunks_rejected != rejected:
            raise _refused(code_name(self._gate.cause), self._gate.cause.message)
        if self._passed() == passed:
            raise _refused("CONTROLLER_UNAVAILABLE", "the safety gate did not answer")
        begun_s = self._node.steady_s()
        longest_s = 4 * len(chunk.positions_rad) * chunk.step_period_s / self._scale() + 5.0
        arrived = lambda: self._is_home() and self._gate.queue_duration <= 0  # noqa: E731
        await self._until(lambda: arrived() or self._over() or self._stuck(begun_s), longest_s)
        if arrived():
            return f"at home after {self._node.steady_s() - begun_s:.1f} s"
        if self._over():
            raise _refused(code_name(self._task.error), f"ended: {self._task.error.message}")
        raise _refused("TRACKING_ERROR", "the gate passed the motion, the arm did not follow it")

    async def _planned(self, task_id: bytes) -> ActionChunk:
        made = Future(executor=self._node.executor)
        free = await self._until(lambda: self._begin(task_id, made.set_result), _GATE_ANSWERS_S)
        if not free:
            raise _refused("BUSY", "a proposal is under way")
        chunk = await made
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    # -- what the others say ---------------------------------------------------------------------

    def _mine(self) -> bool:
        return bytes(bytearray(self._task.task_id.uuid)) == self.task_id

    def _over(self) -> bool:
        return self._mine() and self._task.state in (TaskStatus.STATE_STOPPING, *ENDED)

    def _passed(self) -> int:
        return self._gate.chunks_accepted + self._gate.chunks_limited

    def _scale(self) -> float:
        return max(0.01, self._gate.speed_scale)

    def _stuck(self, begun_s: float) -> bool:
        """Say whether no motion is left although the arm is not at home."""
        late = self._node.steady_s() - begun_s > _SETTLES_S
        return late and self._gate.queue_duration <= 0 and not self._is_home()


def _refused(code: str, message: Any) -> RequestError:
    error = RequestError(str(message))
    error.code = code
    return error
