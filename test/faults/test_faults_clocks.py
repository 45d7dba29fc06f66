# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue about time: a clock that stops or jumps, and two kinds of clock."""

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from mu0.msg import TaskStatus
from rclpy.clock import Clock, ClockType
from rosgraph_msgs.msg import Clock as ClockMessage

from mu0_ros import qos
from mu0_ros.task_states import RUNNING
from mu0_ros.testing.fault_loop import NODES, FaultLoop

S = TaskStatus
SIMULATED = {name: {"use_sim_time": True} for name in (*NODES, "mock_robot")}


class TimeSource:
    """Publishes ``/clock`` on a steady timer of the probe, as fast as real time."""

    def __init__(self, loop: FaultLoop, start_s: float = 1000.0) -> None:
        self.running, self.offset_s = True, start_s
        probe = loop.bench.probe
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._began_ns = self._steady.now().nanoseconds
        self._lost_s = 0.0
        self._publisher = probe.create_publisher(ClockMessage, "/clock", 1)
        self._timer = probe.create_timer(0.01, self._tick, clock=self._steady)
        self._now_s = start_s

    def _tick(self) -> None:
        now_s = (self._steady.now().nanoseconds - self._began_ns) * 1e-9 + self.offset_s
        if not self.running:
            self._lost_s = now_s - self._now_s
            return
        self._now_s = now_s - self._lost_s
        message = ClockMessage(clock=Time(sec=int(self._now_s)))
        message.clock.nanosec = int(self._now_s % 1 * 1e9)
        self._publisher.publish(message)

    def jump(self, seconds: float) -> None:
        """Go on from another time."""
        self.offset_s += seconds

    def end(self) -> None:
        """Publish no more."""
        self._timer.cancel()


@pytest.fixture
def loop(request):
    given = {**SIMULATED, **getattr(request, "param", {})}
    with FaultLoop({name: {**given[name], "use_sim_time": True} for name in given}) as fault_loop:
        fault_loop.diagnostics = fault_loop.bench.collect(
            DiagnosticArray, "/diagnostics", qos.COMMAND
        )
        yield fault_loop


def told(loop: FaultLoop, words: str) -> bool:
    """Say whether a node names something in its diagnostics."""
    return any(words in s.message for m in loop.diagnostics for s in m.status)


def test_row_24_the_clock_stops_and_goes_on(loop):
    clock = TimeSource(loop)
    loop.start_and_move()
    clock.running = False
    loop.wait_for_cause("OBSERVATION_STALE")  # by the gate's steady watchdog
    loop.bench.spin_for(0.2)  # its last command, to brake, goes another way than the cause
    commands = len(loop.robot.accepted)
    loop.bench.spin_for(1.0)
    assert len(loop.robot.accepted) == commands
    assert loop.status[-1].state in RUNNING, "what may clear does not end a task at once"
    clock.running = True
    loop.wait_for_rest()
    loop.wait_for_round()
    loop.judge()


@pytest.mark.parametrize("seconds", [-10.0, 1000.0], ids=["back", "forward"])
def test_row_24_the_clock_jumps(loop, seconds, note_rest):
    clock = TimeSource(loop)
    loop.start_and_move()
    loop.diagnostics.clear()
    clock.jump(seconds)
    loop.wait_for_rest()
    note_rest(loop.rest_s)
    loop.bench.until(lambda: told(loop, "CLOCK_JUMP"), 1.5, "the cause")
    loop.wait_for_round()  # with fresh data of the new time
    loop.judge()


ARMED = {"safety_gate": {"arming_s": 1.5}, "task_server": {"max_rejected_chunks": 100}}


@pytest.mark.parametrize("loop", [ARMED], indirect=True)
def test_row_24_two_sources_of_time(loop, note_rest):
    TimeSource(loop)
    loop.bench.spin_for(2.0)  # the gate arms
    loop.start_and_move()
    other = TimeSource(loop, 500.0)
    loop.wait_for_rest()
    note_rest(loop.rest_s)
    loop.bench.until(lambda: told(loop, "CLOCK_JUMP"), 1.5, "the cause")
    loop.bench.spin_for(0.5)
    before = len(loop.robot.motion.times_s)
    loop.bench.spin_for(1.0)
    still = np.array(loop.robot.motion.positions[before:])
    assert np.ptp(still, axis=0).max() < 1e-3, "it moves while time goes to and fro"
    other.end()
    loop.wait_for_round(10.0)
    loop.judge()


@pytest.mark.parametrize("node", ["trace_forecaster", "action_expert", "safety_gate"])
def test_row_25_one_node_runs_on_simulated_time_and_the_others_do_not(node):
    with FaultLoop({node: {"use_sim_time": True}}) as loop:
        TimeSource(loop)
        loop.bench.spin_for(0.3)
        loop.start()
        code = "OBSERVATION_STALE" if node == "safety_gate" else "OBSERVATION_INVALID"
        cause = loop.wait_for_cause(code, 8.0)
        words = (cause.cause if hasattr(cause, "cause") else cause.error).message
        if node != "safety_gate":
            assert "node clock" in words and "use_sim_time" in words
        loop.bench.spin_for(0.5)
        assert loop.robot.accepted == [] and loop.robot.at_rest


def test_row_25_a_task_server_on_simulated_time_harms_nothing():
    with FaultLoop({"task_server": {"use_sim_time": True}}) as loop:
        loop.start_and_move()  # its own times are steady
        loop.judge()
