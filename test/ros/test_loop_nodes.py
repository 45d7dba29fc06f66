# SPDX-License-Identifier: Apache-2.0
"""The whole loop over ROS with fakes as models: task, traces, chunk, gate, arm."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from mu0.msg import ActionChunk, ErrorCode, SafetyStatus, TaskStatus, TraceArray
from mu0.srv import CancelTask, ExecuteTask

from mu0_ros import qos
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.nodes.safety_gate_node import SafetyGateNode
from mu0_ros.nodes.task_server_node import TaskServerNode
from mu0_ros.nodes.trace_forecaster_node import TraceForecasterNode
from mu0_ros.task_states import ENDED
from mu0_ros.testing.bench import Bench, unique_domain_id
from mu0_ros.testing.mock_robot import MockRobot

FAKE = {"trace_forecaster": {"backend": "fake"}, "action_expert": {"backend": "fake"}}


class Loop:
    """All nodes of the loop around a mock robot, and what they said."""

    def __init__(self, bench: Bench, *, with_server: bool = True) -> None:
        self.bench = bench
        self.status = bench.collect(TaskStatus, "task_status")
        self.safety = bench.collect(SafetyStatus, "safety_status")
        self.traces = bench.collect(TraceArray, "traces", qos.NEWEST)
        self.chunks = bench.collect(ActionChunk, "action_chunk", qos.NEWEST)
        self.robot = bench.add(MockRobot())
        self.gate = bench.add(SafetyGateNode())
        self.expert = bench.add(ActionExpertNode())
        self.forecaster = bench.add(TraceForecasterNode())
        if with_server:
            bench.add(TaskServerNode())

    def start(self, **fields: object) -> ExecuteTask.Response:
        request = ExecuteTask.Request(**{"instruction": "push the block", **fields})
        return self.bench.call(ExecuteTask, "execute_task", request)

    def ends(self) -> list[TaskStatus]:
        """The distinct terminal states, by task."""
        seen = {}
        for message in self.status:
            if message.state in ENDED:
                seen.setdefault((bytes(message.task_id.uuid), message.state), message)
        return list(seen.values())

    def wait_for_end(self, timeout_s: float = 8.0) -> TaskStatus:
        return self.bench.until(self.ends, timeout_s, "end of the task")[-1]


@pytest.fixture
def loop():
    with Bench(FAKE) as bench:
        yield Loop(bench)


def test_task_moves_the_arm_round_after_round_and_cancel_brings_it_to_rest(loop):
    answer = loop.start()
    assert answer.accepted and answer.error.value == ErrorCode.SUCCESS
    loop.bench.until(lambda: len(loop.chunks) >= 2, what="two rounds")
    task = bytes(answer.task_id.uuid)
    assert {bytes(m.task_id.uuid) for m in (*loop.traces, *loop.chunks)} == {task}
    conditioned_on = [m.trace_sequence for m in loop.chunks]
    assert conditioned_on == [m.sequence for m in loop.traces][: len(loop.chunks)]
    loop.bench.until(lambda: not loop.robot.at_rest, what="second motion")
    loop.bench.call(CancelTask, "cancel_task", CancelTask.Request())
    end = loop.wait_for_end()
    assert end.state == TaskStatus.STATE_CANCELED and end.error.value == ErrorCode.CANCELED
    loop.bench.until(lambda: loop.robot.at_rest, 1.0, "rest within a second of the cancel")
    quiet = len(loop.chunks)
    loop.bench.spin_for(0.5)
    assert len(loop.chunks) == quiet and len(loop.ends()) == 1
    assert loop.robot.refused == []


def test_every_command_stays_within_the_limits(loop):
    loop.start()
    loop.bench.until(lambda: len(loop.chunks) >= 2, what="second round")
    loop.bench.until(lambda: not loop.robot.at_rest, what="second motion")
    loop.bench.until(lambda: loop.robot.at_rest, what="rest")
    limits, motion = loop.robot.robot.limits, loop.robot.motion
    positions, velocities = np.array(motion.positions), np.array(motion.velocities)
    assert np.ptp(positions[:, 0]) > 0.1, "the arm did not move: nothing was tested"
    assert np.all(positions >= limits.lower_rad) and np.all(positions <= limits.upper_rad)
    assert np.all(np.abs(velocities) <= limits.velocity_rad_s)
    assert np.all(np.isfinite(positions))


def test_second_task_is_busy_and_a_new_one_starts_after_the_end(loop):
    first = loop.start()
    second = loop.start()
    assert not second.accepted and second.error.value == ErrorCode.BUSY
    loop.bench.call(CancelTask, "cancel_task", CancelTask.Request(task_id=first.task_id))
    loop.wait_for_end()
    third = loop.start()
    assert third.accepted and third.task_id != first.task_id
    before = len(loop.chunks)
    loop.bench.until(lambda: len(loop.chunks) > before, what="chunk of the next task")


def test_dry_run_forecasts_and_checks_but_commands_nothing(loop):
    loop.start(dry_run=True)
    loop.bench.until(lambda: len(loop.chunks) >= 2, what="two rounds")
    assert loop.robot.accepted == []
    assert loop.status[-1].dry_run


def test_a_task_without_motion_left_succeeds(loop):
    loop.start(instruction="stay where you are")
    end = loop.wait_for_end()
    assert end.state == TaskStatus.STATE_SUCCEEDED and end.progress == 1.0
    assert len(loop.ends()) == 1


def test_the_model_nodes_alone_never_reach_the_controller(loop):
    """Only the gate may publish on a controller's topic."""
    for controller in (loop.robot.robot.arm_controller, loop.robot.robot.gripper_controller):
        owners = loop.bench.probe.get_publishers_info_by_topic(
            f"/mu0/{controller}/joint_trajectory"
        )
        assert [o.node_name for o in owners] == ["safety_gate"]


def test_interrupting_the_task_server_brings_rest_then_aborted_then_exit():
    with Bench(FAKE) as bench:
        loop = Loop(bench, with_server=False)
        module = "mu0_ros.nodes.task_server_node"
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--ros-args", "-r", "__ns:=/mu0"],
            env={**os.environ, "ROS_DOMAIN_ID": str(unique_domain_id())},
        )
        try:
            loop.start()
            bench.until(lambda: not loop.robot.at_rest, what="motion")
            process.send_signal(signal.SIGINT)
            end = loop.wait_for_end(5.0)
            assert loop.robot.at_rest, "the end was announced before the arm was at rest"
            assert end.error.value == ErrorCode.DEACTIVATED
            bench.until(lambda: process.poll() is not None, 5.0, "exit")
            assert process.returncode == 0
            assert len(loop.ends()) == 1
        finally:
            process.kill()
