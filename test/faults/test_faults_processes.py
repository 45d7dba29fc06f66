# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue about processes that die, hang or are told to go. Real processes."""

import signal

import pytest
from mu0.msg import TaskStatus

from mu0_ros.testing.fault_loop import FaultLoop

S = TaskStatus
PATIENCE = {"task_server": {"inference_timeout_s": 1.5}}


def started(loop: FaultLoop, name: str) -> None:
    """Wait until a process takes part: its status or its topics are heard."""
    topics = {
        "trace_forecaster": "/mu0/traces",
        "action_expert": "/mu0/action_chunk",
        "safety_gate": "/mu0/safety_status",
        "task_server": "/mu0/task_status",
    }
    probe = loop.bench.probe
    loop.bench.until(
        lambda: name in [p.node_name for p in probe.get_publishers_info_by_topic(topics[name])],
        40.0,  # a loaded machine takes long to start one
        f"process {name}",
    )


def killed_in_motion(name: str, note_rest) -> None:
    with FaultLoop(PATIENCE, processes=(name,)) as loop:
        started(loop, name)
        loop.start_and_move()
        loop.kill(name)
        loop.wait_for_rest()
        note_rest(loop.rest_s)
        end = loop.wait_for_end()
        assert end.state == S.STATE_ABORTED and end.error.value == -31  # INFERENCE_TIMEOUT
        assert loop.robot.at_rest
        loop.spawn(name)  # as a launch file with respawn does
        loop.bench.until(lambda: _serves(loop), 40.0, "a task that moves after the respawn")
        loop.judge()


def test_row_35_the_forecaster_is_killed_in_motion(note_rest):
    killed_in_motion("trace_forecaster", note_rest)


def test_row_36_the_action_expert_is_killed_in_motion(note_rest):
    killed_in_motion("action_expert", note_rest)


def _serves(loop: FaultLoop) -> bool:
    """Try a task; say whether the arm moved for it."""
    if loop.status[-1].state in (S.STATE_ABORTED, S.STATE_IDLE):
        loop.start()
    return loop.speed() > 0.1


def test_row_37_the_gate_is_killed_in_motion(note_rest):
    with FaultLoop(PATIENCE, processes=("safety_gate",)) as loop:
        started(loop, "safety_gate")
        loop.start_and_move()
        loop.kill("safety_gate")
        loop.wait_for_rest(1.2)  # the rest tail of the trajectory, without anybody's help
        note_rest(loop.rest_s)
        commands = len(loop.robot.accepted)
        assert loop.wait_for_end().state == S.STATE_ABORTED
        assert loop.robot.at_rest and len(loop.robot.accepted) == commands
        loop.spawn("safety_gate")
        started(loop, "safety_gate")
        loop.bench.until(lambda: _serves(loop), 40.0, "a task that moves after the respawn")
        loop.judge()


def test_row_38_a_node_hangs_and_comes_back(note_rest):
    parameters = {"action_expert": {"max_trace_age_s": 0.8}}
    with FaultLoop(parameters, processes=("action_expert",)) as loop:
        started(loop, "action_expert")
        loop.start_and_move()
        forecasts = len(loop.traces)
        loop.processes["action_expert"].send_signal(signal.SIGSTOP)
        loop.wait_for_rest()
        note_rest(loop.rest_s)
        loop.bench.until(lambda: len(loop.traces) > forecasts, what="a forecast nobody answers")
        commands = len(loop.robot.accepted)
        loop.bench.spin_for(1.2)
        assert len(loop.robot.accepted) == commands
        loop.processes["action_expert"].send_signal(signal.SIGCONT)
        loop.wait_for_cause("OBSERVATION_STALE")  # what it slept over is refused by its age
        loop.wait_for_round()
        loop.judge()


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("safety_gate", signal.SIGINT),
        ("safety_gate", signal.SIGTERM),
        ("trace_forecaster", signal.SIGINT),
        ("action_expert", signal.SIGTERM),
    ],
)
def test_row_45_a_node_is_told_to_go_in_motion(name, number, note_rest):
    with FaultLoop(PATIENCE, processes=(name,)) as loop:
        started(loop, name)
        loop.start_and_move()
        process = loop.processes[name]
        process.send_signal(number)
        loop.wait_for_rest()
        note_rest(loop.rest_s)
        loop.bench.until(lambda: process.poll() is not None, 5.0, "exit")
        assert process.returncode == 0
        assert loop.wait_for_end().state == S.STATE_ABORTED
        loop.spawn(name)
        started(loop, name)
        loop.bench.until(lambda: _serves(loop), 40.0, "a task that moves after the restart")
        loop.judge()
