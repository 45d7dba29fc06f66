# SPDX-License-Identifier: Apache-2.0
"""The loop of nodes around a mock robot, made to be broken: one fault at a time, then judged.

Every row of the fault catalogue ends in the same universal assertions: the commanded arm never
left its limits, nothing that is not a number reached the controller, the arm came to rest in time,
the cause was published, no other process died, and a new task succeeds without a restart.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from mu0.msg import ActionChunk, SafetyStatus, TaskStatus, TraceArray
from mu0.srv import CancelTask, ExecuteTask

from mu0_ros import qos
from mu0_ros.conversions.error_code import code_name
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.nodes.safety_gate_node import SafetyGateNode
from mu0_ros.nodes.task_server_node import TaskServerNode
from mu0_ros.nodes.trace_forecaster_node import TraceForecasterNode
from mu0_ros.task_states import ENDED
from mu0_ros.testing.bench import NAMESPACE, Bench
from mu0_ros.testing.mock_robot import MockRobot
from mu0_ros.testing.motion_judge import MotionJudge

NODES = {
    "safety_gate": SafetyGateNode,
    "action_expert": ActionExpertNode,
    "trace_forecaster": TraceForecasterNode,
    "task_server": TaskServerNode,
}
REST_S = 1.0  # detection and braking tail
_FAKE = {"trace_forecaster": {"backend": "fake"}, "action_expert": {"backend": "fake"}}
_count = itertools.count()


def own_domain_id() -> int:
    """Return a ``ROS_DOMAIN_ID`` that no other test of this machine uses now (1 to 100)."""
    return 1 + (os.getpid() + 17 * next(_count)) % 100


class FaultLoop:
    """All nodes with fakes as models, some of them as processes of their own.

    Use as a context manager.

    Args:
        parameters: node name -> parameter name -> value, on top of the fake backends.
        processes: names of nodes that run as processes, so that they can be killed.
        without: names of nodes that do not run.
        arguments: further ROS arguments, such as remappings.
    """

    def __init__(
        self,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        processes: tuple[str, ...] = (),
        without: tuple[str, ...] = (),
        arguments: Sequence[str] = (),
    ) -> None:
        given = parameters or {}
        self.parameters = {
            name: {**_FAKE.get(name, {}), **given.get(name, {})} for name in {**NODES, **given}
        }
        self.bench = bench = Bench(
            {k: v for k, v in self.parameters.items() if v}, own_domain_id(), arguments
        )
        self.rest_s: float | None = None
        self.processes: dict[str, subprocess.Popen] = {}
        self.status = bench.collect(TaskStatus, "task_status")
        self.safety = bench.collect(SafetyStatus, "safety_status")
        self.traces = bench.collect(TraceArray, "traces", qos.NEWEST)
        self.chunks = bench.collect(ActionChunk, "action_chunk", qos.NEWEST)
        self.robot: MockRobot = bench.add(MockRobot())
        self.nodes: dict[str, Any] = {}
        for name, make in NODES.items():
            if name in processes:
                self.spawn(name)
            elif name not in without:
                self.nodes[name] = bench.add(make())

    def __enter__(self) -> FaultLoop:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.bench.__exit__()

    # -- processes -------------------------------------------------------------------------------

    def spawn(self, name: str) -> subprocess.Popen:
        """Start a node as a process with its parameters."""
        arguments = ["-r", f"__ns:={NAMESPACE}"]
        for key, value in self.parameters[name].items():
            arguments += ["-p", f"{key}:={value}"]
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", f"mu0_ros.nodes.{name}_node", "--ros-args", *arguments],
            env={**os.environ, "ROS_DOMAIN_ID": str(self.bench.domain_id)},
        )
        return self.processes[name]

    def kill(self, name: str) -> None:
        """Kill a process so that it cannot say goodbye."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    # -- tasks -----------------------------------------------------------------------------------

    def start(self, instruction: str = "push the block", **fields: object) -> ExecuteTask.Response:
        """Ask for a task by service."""
        request = ExecuteTask.Request(instruction=instruction, **fields)
        return self.bench.call(ExecuteTask, "execute_task", request)

    def cancel(self) -> CancelTask.Response:
        """Cancel whatever runs."""
        return self.bench.call(CancelTask, "cancel_task", CancelTask.Request())

    def start_and_move(self, **fields: object) -> ExecuteTask.Response:
        """Start a task and wait until the arm is in the middle of a motion."""
        answer = self.start(**fields)
        assert answer.accepted, answer.error.message
        self.wait_for_motion()
        return answer

    def wait_for_motion(self, timeout_s: float = 8.0) -> None:
        """Wait until the arm moves at speed."""
        self.bench.until(lambda: self.speed() > 0.1, timeout_s, "motion")

    def wait_for_rest(self, within_s: float = REST_S) -> None:
        """Wait until the arm is at rest, note how long that took, and judge it."""
        began_s = time.monotonic()
        self.bench.until(lambda: self.robot.at_rest, within_s + 2.0, "rest")
        self.rest_s = time.monotonic() - began_s
        assert self.rest_s <= within_s, f"rest after {self.rest_s:.2f} s, allowed {within_s}"

    def wait_for_end(self, timeout_s: float = 8.0) -> TaskStatus:
        """Wait for the end of the newest task and return its status."""
        return self.bench.until(
            lambda: self.status and self.status[-1].state in ENDED and self.status[-1],
            timeout_s,
            "end of the task",
        )

    def wait_for_cause(self, code: str, timeout_s: float = 3.0) -> TaskStatus | SafetyStatus:
        """Wait until a status that is published from now on names a cause; return it."""
        seen = len(self.status), len(self.safety)

        def naming() -> list:
            told = [(m, m.error) for m in self.status[seen[0] :]]
            told += [(m, m.cause) for m in self.safety[seen[1] :]]
            return [m for m, cause in told if code_name(cause) == code]

        return self.bench.until(naming, timeout_s, f"cause {code}")[0]

    def wait_for_round(self, timeout_s: float = 8.0) -> None:
        """Wait for a chunk that is published from now on and for the motion it gives."""
        before = len(self.robot.accepted)
        self.bench.until(
            lambda: len(self.robot.accepted) > before, timeout_s, "next command to the arm"
        )

    def ends(self) -> list[tuple[bytes, int]]:
        """Return every (task, terminal state) that was ever announced."""
        return sorted({(bytes(m.task_id.uuid), m.state) for m in self.status if m.state in ENDED})

    def _end_of(self, task_id: object) -> TaskStatus | None:
        return next((m for m in self.status if m.task_id == task_id and m.state in ENDED), None)

    def speed(self) -> float:
        """Return the largest commanded joint speed now."""
        velocities = self.robot.motion.velocities
        return float(np.max(np.abs(velocities[-1]))) if velocities else 0.0

    # -- judgement -------------------------------------------------------------------------------

    def judge(self, *, new_task: bool = True) -> None:
        """Assert what holds after every fault.

        Args:
            new_task: end what runs and show that a new task succeeds.
        """
        if new_task:
            self.cancel()
            if self.status and self.status[-1].task_id.uuid.any():
                self.wait_for_end()
            moved = len(self.robot.accepted)
            answer = self.start("stay")  # the fake forecaster sees nothing left to do
            assert answer.accepted, answer.error.message
            end = self.bench.until(lambda: self._end_of(answer.task_id), 8.0, "new task")
            assert end.state == TaskStatus.STATE_SUCCEEDED, end
            assert len(self.robot.accepted) > moved, "the new task moved nothing"
        self._judge_motion()
        assert self.robot.refused == []
        tasks = [task for task, _ in self.ends()]
        assert len(tasks) == len(set(tasks)), "a task ended twice"
        for name, node in self.nodes.items():
            assert node.configured, f"{name} died"
        for name, process in self.processes.items():
            assert process.poll() is None, f"process {name} died"

    def _judge_motion(self) -> None:
        motion, judge = self.robot.motion, MotionJudge(self.robot.robot.limits)
        for time_s, *sample in zip(motion.times_s, motion.positions, motion.velocities):
            assert judge.add(time_s, *sample) == []
        moved = np.ptp(np.array(motion.positions), axis=0).max()
        assert moved > 0.05, "the arm did not move: nothing was tested"


def swap(loop: FaultLoop, node: str, attribute: str, value: object) -> Callable[[], None]:
    """Put something else behind a node while it runs; return what puts the old one back."""
    old = getattr(loop.nodes[node], attribute)
    setattr(loop.nodes[node], attribute, value)
    return lambda: setattr(loop.nodes[node], attribute, old)
