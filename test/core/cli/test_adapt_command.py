# SPDX-License-Identifier: Apache-2.0
"""``mu0 adapt``: what is asked for reaches the adaptation, what came of it is a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from mu0_core.cli.main import main
from mu0_core.training.adaptation import run as adaptation_run
from mu0_core.training.adaptation.run import Adapted

NAMES = ("ade_uvz", "ade_uv", "ade_depth", "fde_uvz", "ade_uvz_still")


@pytest.fixture
def asked(monkeypatch):
    """Replace the adaptation; return what it was asked for."""
    calls = []

    def adapt(request, settings, provenance, watcher, on_outcome):
        calls.append((request, settings, provenance("data")))
        before, after = dict.fromkeys(NAMES, 0.2), dict.fromkeys(NAMES, 0.1)
        return Adapted(("a", "b"), ("b",), 33, (before, after), (after, before))

    monkeypatch.setattr(adaptation_run, "adapt", adapt)
    return calls


def run(tmp_path: Path, *arguments: str) -> int:
    return main(["adapt", "film", "--out", str(tmp_path / "mine"), *arguments])


def test_errors_before_and_after_are_printed(tmp_path, asked, capsys):
    assert run(tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("mine: 33 pictures of 2 recordings; measured on b")
    assert lines[4].startswith("| new task | before | 0.2000")
    assert lines[7].startswith("| old tasks | after | 0.2000")
    assert not (tmp_path / "mine").exists()


def test_options_become_settings_and_set_wins(tmp_path, asked):
    options = ["--steps", "7", "--lora", "4", "--seed", "3", "--text", "do it"]
    assert run(tmp_path, *options, "--set", "steps=9", "--set", "lessons.still=5") == 0
    request, settings, origin = asked[0]
    assert (settings.steps, settings.lora_rank, settings.seed) == (9, 4, 3)
    assert settings.lessons.still == 5 and origin.seed == 3
    assert request.text == "do it" and request.recordings == (Path("film"),)
    assert request.start.name == "mu0-embedded"


def test_a_checkpoint_may_be_a_folder(tmp_path, asked):
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "config.json").write_text("{}")
    assert run(tmp_path, "--from", str(tmp_path / "start")) == 0
    assert asked[0][0].start == tmp_path / "start"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "nobody"], "no model 'nobody'"),
        (["--threads", "0"], "--threads 0"),
        (["--steps", "0"], "steps 0: expected at least 1"),
        (["--set", "wings=2"], "wings: unknown"),
        (["--out", "models/No Name"], "its last part names the model"),
    ],
)
def test_impossible_arguments_are_one_line(tmp_path, asked, capsys, arguments, message):
    assert run(tmp_path, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not asked


def test_without_a_recording_there_is_nothing_to_adapt_to(tmp_path, asked):
    with pytest.raises(SystemExit):
        main(["adapt", "--out", str(tmp_path / "mine")])
