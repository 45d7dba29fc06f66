# SPDX-License-Identifier: Apache-2.0
"""``mu0 rollout``: its arguments, what it prints and the JSON it leaves, with made-up episodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mu0_core.cli import rollout
from mu0_core.cli.main import main
from mu0_core.errors import ConfigError
from mu0_core.evaluation.success_table import Episode


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even seeds achieve what the sentence says, odd ones nothing."""

    def episodes(args, names, seeds):
        for task in names:
            for seed in seeds:
                asked = args.instruct_as or task
                yield Episode(task, asked, seed, () if seed % 2 else (asked,), "over", 1.5, 3, 0)

    monkeypatch.setattr(rollout, "_direct", episodes)


def test_seeds_are_a_range() -> None:
    assert list(rollout.parse_seeds("50000:50003")) == [50000, 50001, 50002]


@pytest.mark.parametrize(
    "text", ["", "5", "5:", ":5", "5:5", "6:5", "-1:5", "a:b", "1:2:3", "²:9"]
)
def test_bad_seeds_are_named(text: str) -> None:
    with pytest.raises(ConfigError, match="FIRST:END"):
        rollout.parse_seeds(text)


def test_json_holds_the_counts(
    made_up, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deep" / "out.json"
    command = [
        "rollout",
        "--direct",
        "--tasks",
        "press_button,push_left",
        "--seeds",
        "50000:50003",
    ]
    assert main([*command, "--json", str(file)]) == 0
    content = json.loads(file.read_text())
    assert content["tasks"] == {
        "press_button": {"successes": 2, "episodes": 3},
        "push_left": {"successes": 2, "episodes": 3},
    }
    assert [e["seed"] for e in content["episodes"]] == [50000, 50001, 50002] * 2
    assert sum(e["success"] for e in content["episodes"]) == 4
    assert list(tmp_path.glob("**/*.part")) == []
    assert "| press_button | 2/3 = 67% |" in capsys.readouterr().out


def test_another_sentence_is_judged_by_the_asked_task(made_up, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    command = ["rollout", "--direct", "--tasks", "push_left", "--instruct-as", "push_right"]
    assert main([*command, "--seeds", "50000:50002", "--json", str(file)]) == 0
    content = json.loads(file.read_text())
    assert content["tasks"] == {"push_left": {"successes": 0, "episodes": 2}}
    assert content["confusion"] == {"push_right": {"push_right": 1}}


def test_an_interrupted_run_keeps_what_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def episodes(args, names, seeds):
        yield Episode("press_button", "press_button", 50000, ("press_button",), "over", 1.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(rollout, "_direct", episodes)
    file = tmp_path / "out.json"
    command = ["rollout", "--direct", "--tasks", "press_button", "--json", str(file)]
    assert main(command) == 130
    content = json.loads(file.read_text())
    assert content["tasks"] == {"press_button": {"successes": 1, "episodes": 1}}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--tasks", "juggle"], "unknown task 'juggle'"),
        (["--instruct-as", "juggle"], "unknown task 'juggle'"),
        (["--seeds", "9:3"], "FIRST:END"),
        (["--tasks", "cube_on_box"], "cube_on_box needs --direct"),
        (["--instruct-as", "cube_on_box"], "cube_on_box needs --direct"),
        (["--real-time-factor", "0"], "--real-time-factor 0.0: allowed 0.05 to 20"),
        (["--workers", "2"], "--workers needs --direct"),
        (["--video", "film.mp4"], "--video needs --direct"),
        (["--direct", "--workers", "2", "--video", "film.mp4"], "one worker"),
        (["--max-duration", "0"], "must be positive"),
    ],
)
def test_what_does_not_go_together_is_refused(
    options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rollout", *options]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_models_reach_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    class Nodes:
        def __init__(self, parameters):
            asked.update(parameters)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def facts(self, module, arguments):
            asked[module] = arguments
            yield from ()

    monkeypatch.setattr("mu0_core.cli.processes.NodeProcesses", Nodes)
    command = ["rollout", "--tasks", "press_button", "--seeds", "50000:50001"]
    assert main([*command, "--world-model", "a", "--action-expert", "b"]) == 0
    assert asked["trace_forecaster"] == {"model_id": "a"}
    assert asked["action_expert"] == {"model_id": "b", "robot": "fr3"}
    assert asked["mu0_ros.rollout_client"][:2] == ["--tasks", "press_button"]
    assert main([*command, "--robot", "so101", "--real-time-factor", "0.5"]) == 0
    assert asked["action_expert"] == {"model_id": "geometric", "robot": "so101"}
    assert asked["simulator"] == {"robot": "so101", "real_time_factor": 0.5}
    assert asked["safety_gate"] == {"robot": "so101"}
