# SPDX-License-Identifier: Apache-2.0
"""The eyes and hands of a soak run: starts tasks, breaks things, hears what the nodes say."""

from __future__ import annotations

import copy
import json
import math
import signal
import time
from collections import Counter, deque
from typing import Any

import numpy as np
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from mu0.msg import ActionChunk, ErrorCode, SafetyStatus, TaskStatus
from mu0.srv import CancelTask, ExecuteTask
from rclpy.node import Node
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger

from mu0_ros import qos
from mu0_ros.conversions.error_code import code_name
from mu0_ros.conversions.stamp import duration_from_s
from mu0_ros.task_states import ENDED, RUNNING
from mu0_ros.testing.soak_faults import NODES
from mu0_ros.testing.soak_processes import Processes

_NAME = "soak"
_ANSWER_S, _PAUSE_S, _KEPT_S = 4.0, 0.3, 30.0
_NONSENSE = ("", "x" * 2000, "push\x00the block", "\x1b[2J", "x" * 1_000_000)


class SoakWorld(Node):
    """The supervisor's node.

    Args:
        processes: what runs.
        random: draws how tasks are asked for.

    Attributes:
        broken: a fault is on, so no task is begun.
        ends: states in which tasks ended, by name and code.
        tasks, requests: tasks that began, and everything that was asked of a service.
        judged: chunks that gates passed or rejected, over all their lives.
        report: newest of the mock robot.
    """

    def __init__(self, processes: Processes, random: np.random.Generator) -> None:
        super().__init__(_NAME)
        self.processes, self._random = processes, random
        self.broken = False
        self.status, self.safety = TaskStatus(), SafetyStatus()
        self.ends: Counter[str] = Counter()
        self.judged: Counter[str] = Counter()
        self.ended_twice: list[str] = []
        self.report: dict[str, Any] = {"commands": 0, "wrong": 0, "wrongs": [], "worst": {}}
        self.tasks = self.requests = 0
        self._ended: deque[bytes] = deque(maxlen=50)
        self._rests: deque[tuple[float, bool]] = deque()
        self._causes: deque[tuple[float, str]] = deque(maxlen=2000)
        self._told: dict[str, tuple[str, str]] = {}
        self.beats: dict[str, float] = {}
        self._chunk: ActionChunk | None = None
        self._asked: list[tuple[Any, Any, float]] = []
        self._next_task_s = 0.0
        self._connect()

    def _connect(self) -> None:
        self._faults = self.create_publisher(String, "mock_faults", qos.LATCHED)
        self._chunks = self.create_publisher(ActionChunk, "action_chunk", qos.NEWEST)
        self._fakes = {
            node: self.create_publisher(String, f"{node}/fake_fault", qos.COMMAND)
            for node in ("trace_forecaster", "action_expert")
        }
        for kind, topic, callback, profile in (
            (String, "mock_report", self._on_report, qos.STATE_STREAM),
            (TaskStatus, "task_status", self._on_status, qos.LATCHED),
            (SafetyStatus, "safety_status", self._on_safety, qos.LATCHED),
            (ErrorCode, "faults", lambda m: self._on_cause("faults", m, True), qos.COMMAND),
            (ActionChunk, "action_chunk", self._on_chunk, qos.NEWEST),
        ):
            self.create_subscription(kind, topic, callback, profile)
        for node in NODES:
            self.create_subscription(Header, f"{node}/heartbeat", self._on_beat, 1)
        self._execute = self.create_client(ExecuteTask, "execute_task")
        self._cancel = self.create_client(CancelTask, "cancel_task")
        self._stop = self.create_client(Trigger, "safety_gate/stop")
        self._reset = self.create_client(Trigger, "safety_gate/reset")
        self._change = {n: self.create_client(ChangeState, f"{n}/change_state") for n in NODES}

    # -- what is heard ---------------------------------------------------------------------------

    def _on_report(self, message: String) -> None:
        self.report = json.loads(message.data)
        now_s = self.report["time_s"]
        self._rests.append((now_s, self.report["rest"]))
        while self._rests[0][0] < now_s - _KEPT_S:
            self._rests.popleft()

    def _on_status(self, message: TaskStatus) -> None:
        was, self.status = self.status, message
        self._on_cause("task", message.error)
        self.tasks += bool(message.task_id != was.task_id and message.task_id.uuid.any())
        task = bytes(bytearray(message.task_id.uuid))
        again = was.state == message.state and was.task_id == message.task_id
        if again or message.state not in ENDED:
            return
        if task in self._ended:
            self.ended_twice.append(task.hex())
        self._ended.append(task)
        state = {TaskStatus.STATE_SUCCEEDED: "succeeded", TaskStatus.STATE_CANCELED: "cancelled"}
        code = code_name(message.error)
        self.ends[state.get(message.state, f"aborted {code}")] += 1

    def _on_safety(self, message: SafetyStatus) -> None:
        was, self.safety = self.safety, message
        for name in ("accepted", "limited", "rejected"):
            now, before = (getattr(m, f"chunks_{name}") for m in (message, was))
            self.judged[name] += now - before if now >= before else now  # a new gate counts anew
        self._on_cause("safety", message.cause)

    def _on_cause(self, topic: str, error: ErrorCode, event: bool = False) -> None:
        told = code_name(error), error.message
        if event or self._told.get(topic) != told:
            self._causes.append((time.time(), told[0]))
        self._told[topic] = told

    def _on_chunk(self, message: ActionChunk) -> None:
        if message.model_id != _NAME:
            self._chunk = message

    def _on_beat(self, message: Header) -> None:
        self.beats[message.frame_id] = time.monotonic()

    @property
    def running(self) -> bool:
        """Say whether a task is under way."""
        return self.status.state in RUNNING

    @property
    def moving(self) -> bool:
        """Say whether the arm moves."""
        return bool(self._rests) and not self._rests[-1][1]

    def rest_after(self, since_s: float) -> float | None:
        """Return seconds from a time (``time.time``) to the first report of rest; None = never."""
        return next((t - since_s for t, rest in self._rests if t >= since_s and rest), None)

    def causes_since(self, since_s: float) -> set[str]:
        """Return the codes that were told since a time (``time.time``)."""
        return {code for told_s, code in self._causes if told_s >= since_s}

    # -- tasks -----------------------------------------------------------------------------------

    def tend(self) -> None:
        """Begin a task when none runs, let a latched gate go on, forget what is not answered."""
        now_s = time.monotonic()
        for client, future, due_s in list(self._asked):
            if future.done() or now_s > due_s:
                client.remove_pending_request(future)
                self._asked.remove((client, future, due_s))
        idle = self.status.state in (*ENDED, TaskStatus.STATE_IDLE)
        if self.broken or not idle or now_s < self._next_task_s:
            return
        self._next_task_s = now_s + _PAUSE_S
        if self.safety.state == SafetyStatus.STATE_LATCHED:
            self._ask(self._reset, Trigger.Request())
            return
        stay = self._random.random() < 0.25
        self.begin("stay" if stay else "push the block", float(self._random.uniform(3, 20)))

    def begin(self, instruction: str, duration_s: float = 20.0) -> None:
        """Ask for a task."""
        request = ExecuteTask.Request(instruction=instruction)
        request.max_duration = duration_from_s(duration_s)
        self._ask(self._execute, request)

    def _ask(self, client: Any, request: Any) -> None:
        if client.service_is_ready():
            self.requests += 1
            due_s = time.monotonic() + _ANSWER_S
            self._asked.append((client, client.call_async(request), due_s))

    # -- what breaks -----------------------------------------------------------------------------

    def break_robot(self, **fields: object) -> None:
        """Break the mock robot in this way only; without fields it is whole."""
        self._faults.publish(String(data=json.dumps(fields)))

    def break_model(self, node: str, fault: str) -> None:
        """Give a node another fake."""
        self._fakes[node].publish(String(data=fault))

    def signal(self, node: str, number: signal.Signals) -> None:
        """Send a signal to a node's process."""
        self.processes.send(node, number)

    def respawn(self, node: str) -> None:
        """Start a node that was killed again."""
        self.beats.pop(node, None)
        self.processes.start(node)

    def set_active(self, node: str, active: bool) -> None:
        """Deactivate or activate a node as a lifecycle manager would."""
        wanted = Transition.TRANSITION_ACTIVATE if active else Transition.TRANSITION_DEACTIVATE
        request = ChangeState.Request(transition=Transition(id=wanted))
        self._ask(self._change[node], request)

    def cancel(self) -> None:
        """Cancel whatever runs."""
        self._ask(self._cancel, CancelTask.Request())

    def stop_gate(self) -> None:
        """Brake."""
        self._ask(self._stop, Trigger.Request())

    def flood(self, count: int) -> None:
        """Ask for many tasks at once."""
        for _ in range(count):
            self._ask(self._execute, ExecuteTask.Request(instruction="push the block"))

    def ask_nonsense(self) -> None:
        """Ask for what is to be refused."""
        for text in _NONSENSE:
            self._ask(self._execute, ExecuteTask.Request(instruction=text))
        request = ExecuteTask.Request(instruction="push", speed_scale=math.nan)
        self._ask(self._execute, request)

    def replay_chunks(self, count: int) -> None:
        """Send the newest chunk again and again, also with an older number."""
        if self._chunk is not None:
            old = copy.deepcopy(self._chunk)
            old.model_id = _NAME
            for k in range(count):
                old.sequence = max(0, self._chunk.sequence - k % 3)
                self._chunks.publish(old)

    def send_nonsense_chunks(self, count: int) -> None:
        """Send chunks that no arm may follow: degrees, spikes, wrong sizes, not a number."""
        if self._chunk is None:
            return
        for k in range(count):
            bad = copy.deepcopy(self._chunk)
            bad.sequence, bad.model_id = bad.sequence + 1, _NAME
            positions = np.array(bad.values)
            if k % 4 == 0:
                positions = np.degrees(positions)
            elif k % 4 == 1:
                positions[self._random.integers(len(positions))] += 3.0
            elif k % 4 == 2:
                positions = positions[:-1]
            elif k == 3:
                positions[self._random.integers(len(positions))] = math.nan
            bad.values = positions.tolist()
            self._chunks.publish(bad)
