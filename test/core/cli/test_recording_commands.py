# SPDX-License-Identifier: Apache-2.0
"""``mu0 record``, ``mu0 replay``, ``mu0 doctor --live``: arguments, output, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("mcap")
from mu0_core.cli import doctor_live, live
from mu0_core.cli.main import main
from mu0_core.errors import ConfigError
from mu0_core.operation.findings import FAIL, OK, WARN, Finding
from mu0_core.recording import replay, replay_models
from mu0_core.recording.replay_result import Comparison
from mu0_core.recording.writer import RecordingLimits, RecordingWriter

SAME = Comparison("forecast", 1, 0.0, 1e-4)
NEAR = Comparison("chunk", 2, 1e-3, 5e-3)
FAR = Comparison("chunk", 3, 0.2, 5e-3, "fingers differ by 0.01 m")
LOST = Comparison("forecast", 4, None, 0.0, "OBSERVATION_STALE: no image")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    RecordingWriter(tmp_path / "a.mcap", RecordingLimits(min_free_gb=0.0)).close()
    return tmp_path / "a.mcap"


def _found(monkeypatch: pytest.MonkeyPatch, *comparisons: Comparison) -> None:
    monkeypatch.setattr(replay_models, "load_models", lambda *_: (None, ("other weights",)))
    monkeypatch.setattr(replay, "replay", lambda recording, models: iter(comparisons))


@pytest.mark.parametrize(
    "comparisons, code, summary",
    [
        ((SAME, NEAR), 0, "2 of 2 replayed: 1 identical, 2 within tolerance"),
        ((SAME, LOST), 0, "1 of 2 replayed"),
        ((SAME, FAR), 1, "1 identical, 1 within tolerance"),
        ((LOST,), 1, "0 of 1 replayed"),
        ((), 1, "0 of 0 replayed"),
    ],
)
def test_a_replay_is_told_and_decides_the_exit_code(
    monkeypatch, capsys, file: Path, comparisons, code: int, summary: str
) -> None:
    _found(monkeypatch, *comparisons)
    assert main(["replay", str(file)]) == code
    printed = capsys.readouterr().out
    assert summary in printed and "note: other weights" in printed
    for comparison in comparisons:
        assert comparison.line() in printed
    assert main(["replay", str(file), "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["agrees"] == (code == 0) and len(told["comparisons"]) == len(comparisons)


def test_lines_say_what_they_mean() -> None:
    assert "identical" in SAME.line() and "agrees: 0.001 rad" in NEAR.line()
    assert "DIFFERS: 0.2 rad at most (fingers differ by 0.01 m)" in FAR.line()
    assert LOST.line().endswith("not replayed: OBSERVATION_STALE: no image")


def test_what_is_no_recording_is_an_error(capsys, tmp_path: Path, file: Path) -> None:
    assert main(["replay", str(tmp_path / "none.mcap")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["replay", str(file)]) == 2
    assert "names no robot: say --robot" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--max-gb", "0"], "max_gb 0.0 must be above 0"),
        (["--robot", "none"], "none"),
        (["-r", "a=b"], "'a=b': expected FROM:=TO"),
    ],
)
def test_record_refuses_what_can_not_be(capsys, arguments: list[str], words: str) -> None:
    assert main(["record", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_record_starts_the_recorder_with_its_parameters(monkeypatch, tmp_path: Path) -> None:
    seen: list = []
    monkeypatch.setattr(live, "run_until_interrupted", lambda *given: seen.append(given) or 1)
    given = ["--out", str(tmp_path), "--topics", "traces", "--max-gb", "2", "-r", "a:=/b"]
    assert main(["record", "--namespace", "left", *given]) == 1
    ((module, words),) = seen
    assert module == "mu0_ros.nodes.recorder_node"
    assert {"__ns:=/left", "a:=/b", f"out:={tmp_path}", "topics:=traces", "max_gb:=2.0"} <= set(
        words
    )
    assert "end_with_recording:=true" in words


GOOD, BAD = Finding(OK, "clock", "wall"), Finding(FAIL, "joint_states", "nobody", "start it")
ODD = Finding(WARN, "diagnostics", "hot")


@pytest.mark.parametrize(
    "found, code, words",
    [
        ([GOOD], 0, "the stack is fit to run\n"),
        ([GOOD, ODD], 0, "the stack is fit to run (1 to look at)"),
        ([GOOD, BAD], 1, "the stack is not fit to run: joint_states"),
    ],
)
def test_a_live_look_is_told_and_decides_the_exit_code(
    monkeypatch, capsys, found: list[Finding], code: int, words: str
) -> None:
    monkeypatch.setattr(doctor_live, "live_findings", lambda args: found)
    assert main(["doctor", "--live"]) == code
    printed = capsys.readouterr().out
    assert words in printed and ("-> start it" in printed) == (BAD in found)
    assert main(["doctor", "--live", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] == (code == 0) and len(told["findings"]) == len(found)


def test_a_live_look_has_a_time_and_a_robot(capsys) -> None:
    assert main(["doctor", "--live", "--seconds", "1000"]) == 2
    assert "--seconds 1000.0 is outside 1 to 120" in capsys.readouterr().err


def test_a_look_that_fails_is_a_finding(monkeypatch, capsys) -> None:
    pytest.importorskip("rclpy")
    environment = {"PATH": "/nowhere", "PYTHONPATH": "/nowhere"}
    monkeypatch.setattr(live, "live_environment", lambda: environment)
    assert main(["doctor", "--live", "--seconds", "1"]) == 1
    assert "FAIL live check" in capsys.readouterr().out


def test_a_program_that_joins_keeps_the_users_domain(monkeypatch) -> None:
    pytest.importorskip("rclpy")
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    env = live.live_environment()
    assert env["ROS_DOMAIN_ID"] == "0" and "ROS_AUTOMATIC_DISCOVERY_RANGE" not in env
    monkeypatch.setenv("ROS_DOMAIN_ID", "42")
    assert live.live_environment()["ROS_DOMAIN_ID"] == "42"


def test_rules_and_parameters_become_ros_arguments() -> None:
    words = live.ros_arguments("/left/", ["a:=b"], {"x": True, "y": 2})
    assert words == "--ros-args -r __ns:=/left -r a:=b -p x:=true -p y:=2".split()
    with pytest.raises(ConfigError, match="expected FROM:=TO"):
        live.ros_arguments("/mu0", ["a"])
