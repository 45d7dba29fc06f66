# SPDX-License-Identifier: Apache-2.0
"""Rows of recording: a full or read-only disk stops nothing else; a replay says what was said."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from mu0.msg import TaskStatus

pytest.importorskip("mcap")
from mu0_core.recording import writer
from mu0_core.recording.reader import Recording
from mu0_core.recording.replay import replay_all
from mu0_core.recording.replay_models import load_models
from mu0_core.testing.fakes import FakeForecaster
from mu0_ros import qos
from mu0_ros.nodes.recorder_node import RecorderNode
from mu0_ros.task_states import RUNNING
from mu0_ros.testing.fault_loop import FaultLoop

STREAMS = ("color/image_raw", "depth/image_raw", "joint_states", "traces", "action_chunk")


@pytest.fixture
def loop(monkeypatch, tmp_path, note_rest):
    monkeypatch.chdir(tmp_path)  # the recorder's folder is relative
    with FaultLoop() as fault_loop:
        yield fault_loop
        if fault_loop.rest_s is not None:
            note_rest(fault_loop.rest_s)


def warnings(loop: FaultLoop) -> list[str]:
    """Return the list that the recorder's messages in /diagnostics are appended to."""
    found: list[str] = []

    def look(message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith("/recorder") and status.level != status.OK:
                found.append(status.message)

    loop.bench.probe.create_subscription(DiagnosticArray, "/diagnostics", look, qos.COMMAND)
    return found


def finished(loop: FaultLoop, recorder: RecorderNode, *streams: str) -> Recording:
    """Wait until these streams, or all, are in the recording, end it, and open it."""
    wire = [recorder.topics[name] for name in streams or STREAMS]
    loop.bench.until(lambda: all(recorder._counts[t] > 3 for t in wire), 15.0, "all streams")
    loop.bench.until(
        lambda: len(recorder.writer._mcap._Writer__metadata_indexes) >= 6, 8.0, "parameters"
    )
    recorder.trigger_deactivate()
    (path,) = Path("recordings").glob("*.mcap")
    return Recording(path)


# -- row 54 --------------------------------------------------------------------------------------


def test_row_54_a_disk_that_fills_up_ends_the_recording_and_not_the_task(loop, monkeypatch):
    monkeypatch.setattr(writer, "_CHUNK_BYTES", 1 << 16)
    told = warnings(loop)
    recorder = loop.bench.add(RecorderNode())
    loop.start_and_move()
    with open("/dev/full", "wb") as full:  # from now on the kernel says that the disk is full
        os.dup2(full.fileno(), recorder.writer._stream.fileno())
    loop.bench.until(lambda: recorder.ended, 15.0, "end of the recording")
    assert "No space left on device" in recorder.ended
    loop.bench.until(lambda: any("No space left" in text for text in told), 3.0, "warning")
    before, rounds = len(told), len(loop.chunks)
    assert loop.status[-1].state in RUNNING
    loop.bench.until(lambda: len(loop.chunks) >= rounds + 2, 15.0, "the task goes on")
    loop.bench.until(lambda: len(told) > before, 3.0, "the warning stays")
    assert recorder.active and recorder.configured
    loop.judge()


def test_row_54_a_disk_that_can_not_be_written_refuses_the_recording_and_not_the_task(loop):
    Path("recordings").write_text("a file where the folder should be")
    recorder = loop.bench.add(RecorderNode(), start=False)
    assert not recorder.autostart()
    assert not recorder.active and recorder.configured
    loop.start_and_move()
    loop.judge()
    Path("recordings").unlink()
    recorder.trigger_activate()
    assert recorder.active and finished(loop, recorder, "joint_states").is_whole


def test_row_54_a_recording_ends_before_the_last_of_the_disk(loop, monkeypatch):
    monkeypatch.setattr(writer, "_LOOK_EVERY_BYTES", 1 << 17)
    told, free = warnings(loop), [10**12]
    usage = type("Usage", (), {"free": property(lambda self: free[0])})
    monkeypatch.setattr(writer.shutil, "disk_usage", lambda path: usage())
    recorder = loop.bench.add(RecorderNode())
    loop.start_and_move()
    free[0] = 10**8
    loop.bench.until(lambda: any("min_free_gb" in text for text in told), 15.0, "warning")
    (path,) = Path("recordings").glob("*.mcap")
    recording = Recording(path)
    assert recording.is_whole and recording.counts[recorder.topics["joint_states"]] > 1
    loop.judge()


# -- row 58 --------------------------------------------------------------------------------------


class Otherwise(FakeForecaster):
    """Another model: it sees nothing move."""

    def forecast(self, frame, instruction, query, **settings):
        return super().forecast(frame, "stay", query, **settings)


def test_row_58_a_replay_says_what_the_nodes_said_and_twice_the_same(loop):
    recorder = loop.bench.add(RecorderNode())
    loop.start_and_move()
    loop.wait_for_round()
    recording = finished(loop, recorder)
    assert recording.is_whole
    models, _ = load_models(recording)
    once, again = (replay_all(recording, models) for _ in range(2))
    assert once == again
    kinds = {c.stage for c in once.compared}
    assert kinds == {"forecast", "chunk"} and len(once.compared) >= 6, once
    assert all(c.agrees for c in once.comparisons), once.comparisons
    assert all(c.difference == 0.0 for c in once.compared if c.stage == "forecast")
    other = replay_all(recording, replace(models, forecaster=Otherwise()))
    apart = [c.difference for c in other.compared if c.stage == "forecast"]
    assert not other.agrees and min(apart) == pytest.approx(0.1, abs=1e-6)


# -- what a recording holds ----------------------------------------------------------------------


def test_a_recorder_that_comes_late_has_the_latched_topics_and_the_models(loop):
    loop.start_and_move()
    recorder = loop.bench.add(RecorderNode())
    recording = finished(loop, recorder)
    for name in ("camera_pose", "task_status", "safety_status", "model_info", "model_info_action"):
        assert recording.counts[recorder.topics[name]] >= 1, name
    first = next(recording.messages({recorder.topics["task_status"]}))
    assert recording.decode(first).state != TaskStatus.STATE_IDLE
    assert recording.notes["mu0"]["robot"] == "fr3" and "robot.yaml" in recording.attachments
    assert recording.parameters("trace_forecaster")["backend"] == "fake"
    assert recording.parameters("safety_gate")["dry_run"] is False
    commands = recorder.topics["arm_controller/joint_trajectory"]
    assert recording.types[commands] == "trajectory_msgs/msg/JointTrajectory"


def test_two_activations_are_two_files(loop):
    recorder = loop.bench.add(RecorderNode())
    finished(loop, recorder, "joint_states")
    recorder.trigger_activate()
    loop.bench.until(lambda: recorder._counts[recorder.topics["joint_states"]] > 3)
    recorder.trigger_deactivate()
    files = sorted(Path("recordings").glob("*.mcap"))
    assert len(files) == 2 and all(Recording(f).is_whole for f in files)
