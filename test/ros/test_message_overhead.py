# SPDX-License-Identifier: Apache-2.0
"""``mu0 benchmark --messages``: through real processes, and what it says when it cannot."""

from __future__ import annotations

import json

import pytest

from mu0_core.cli import processes
from mu0_core.cli.main import main
from mu0_core.errors import ConfigError
from mu0_ros import backends

ROW = "image message to traces, no model"


def test_a_few_images_go_through_the_forecaster(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # the log goes below it
    command = ["benchmark", "--messages", "--runs", "4", "--points", "9", "--json", "out.json"]
    assert main(command) == 0, capsys.readouterr().err
    assert f"| {ROW} |" in capsys.readouterr().out
    table = json.loads((tmp_path / "out.json").read_text())
    assert table["model"] == "none" and table["runs"] == 4 and table["ratios"] == {}
    times = table["stages"][ROW]
    assert 0.5 < times["p50_ms"] <= times["p95_ms"] < 5000.0  # a loaded machine is no failure


def test_without_ros_it_names_what_to_do(monkeypatch, capsys):
    def environment():
        raise ConfigError("rclpy is not installed; run: make setup")

    monkeypatch.setattr(processes, "_environment", environment)
    assert main(["benchmark", "--messages"]) == 2
    assert "run: make setup" in capsys.readouterr().err


def test_messages_and_release_size_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        main(["benchmark", "--messages", "--release-size"])
    assert "not allowed with" in capsys.readouterr().err


def test_the_backend_without_a_model_chooses_real_points():
    assert type(backends.make_selector("no_model")).__name__ == "PlaneSelector"
    forecaster = backends.make_forecaster("no_model", "mu0-embedded", "cpu", "")
    assert forecaster.model_id == "fake-world-model"
    with pytest.raises(ConfigError, match="allowed are model, fake$"):
        backends.make_expert("no_model", "", None, "cpu", "")
