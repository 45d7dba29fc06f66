# SPDX-License-Identifier: Apache-2.0
"""``mu0 collect`` and ``mu0 train``: arguments, refusals, what reaches the trainers."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from mu0_core.cli import collect, train
from mu0_core.errors import ConfigError, DataError, SimulationError
from mu0_core.simulation import collection
from mu0_core.simulation.collection import Outcome
from mu0_core.training import action_expert_run, world_model_run
from mu0_core.training.train_state import Progress


def parse(module, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def called(monkeypatch):
    """Replace both trainings; return what they were called with."""
    calls = {}

    def fake(name):
        def call(data, out, settings, provenance, *rest):
            calls[name] = (data, out, settings, provenance("data"), rest)
            return Progress(step=5, metrics={"ade_m": 0.5})

        return call

    monkeypatch.setattr(world_model_run, "train_world_model", fake("world-model"))
    monkeypatch.setattr(action_expert_run, "train_action_expert", fake("action-expert"))
    return calls


def test_world_model_arguments_reach_the_training(called, capsys, snapshots):
    args = parse(
        train, "world-model", "--data", str(snapshots), "--out", "o", "--steps", "5",
        "--seed", "3", "--batch-size", "7", "--learning-rate", "0.01", "--max-snapshots", "11",
        "--from", "s",
    )  # fmt: skip
    assert train.run(args) == 0
    data, out, settings, origin, (_, start) = called["world-model"]
    assert (data, out, start) == (snapshots, Path("o"), Path("s"))
    assert (settings.budget.steps, settings.budget.minutes) == (5, None)
    assert (settings.loop.seed, settings.batch.batch_size, settings.features.max_snapshots) == (
        3,
        7,
        11,
    )
    assert settings.loop.learning_rate.peak == 0.01
    assert origin.seed == 3 and origin.command.startswith("mu0 ")
    assert "5 updates, ade_m 0.5" in capsys.readouterr().out


@pytest.mark.parametrize("flag", [[], ["--no-traces"]])
def test_action_expert_arguments_reach_the_training(called, flag):
    args = parse(train, "action-expert", "--data", "d", "--out", "o", "--minutes", "2.5",
                 "--world-model", "w", "--max-snapshots", "9", "--from", "s", *flag)  # fmt: skip
    assert train.run(args) == 0
    _, _, settings, _, (world_model, _, start) = called["action-expert"]
    assert settings.policy.use_trace is (not flag)
    assert settings.budget.minutes == 2.5 and world_model == Path("w")
    assert start == Path("s") and settings.forecasts.features.max_snapshots == 9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["world-model", "--steps", "1", "--no-traces"], "--no-traces"),
        (["world-model", "--steps", "1", "--world-model", "w"], "--world-model"),
        (["action-expert", "--steps", "1", "--max-snapshots", "3"], "--max-snapshots"),
        (["action-expert", "--config", "f"], "--config does not apply to action-expert"),
        (["action-expert", "--steps", "1", "--lora", "4"], "--lora does not apply"),
        (["world-model", "--steps", "1", "--lora", "4"], "--lora needs episodes, .* snapshots"),
        (["world-model", "--steps", "1", "--threads", "0"], "--threads 0"),
        (["world-model", "--steps", "0"], "positive"),
        (["world-model", "--minutes", "-1"], "positive"),
        (["world-model", "--steps", "1", "--batch-size", "0"], "start at 1"),
    ],
)
def test_what_makes_no_sense_is_refused(called, words, message, snapshots):
    with pytest.raises(ConfigError, match=message):
        train.run(parse(train, *words, "--data", str(snapshots), "--out", "o"))
    assert not called


def test_data_is_needed_and_must_be_of_one_kind(called, tmp_path):
    with pytest.raises(ConfigError, match="--data is missing"):
        train.run(parse(train, "world-model", "--out", "o", "--steps", "1"))
    with pytest.raises(ConfigError, match="when to stop is missing: --steps, --minutes or --con"):
        train.run(parse(train, "world-model", "--out", "o", "--data", str(tmp_path)))
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="holds neither snapshots of mu0 collect .* nor epi"):
            words = ["world-model", "--data", str(folder), "--out", "o", "--steps", "1"]
            train.run(parse(train, *words))
    assert not called


def test_there_is_one_budget(capsys):
    with pytest.raises(SystemExit):
        parse(train, "world-model", "--data", "d", "--out", "o", "--steps", "1", "--minutes", "1")
    assert "--minutes" in capsys.readouterr().err


@pytest.fixture
def fake_world(monkeypatch):
    def collect_seed(maker, folder, seed):
        folder.mkdir(parents=True, exist_ok=True)
        failed = seed % 3 == 2
        (folder / f"{seed:06d}.{'failed' if failed else 'npz'}").touch()
        return Outcome.FAILED if failed else Outcome.RECORDED

    monkeypatch.setattr(collection, "collect_seed", collect_seed)
    monkeypatch.setattr(collect, "_maker", lambda job: object())


def test_collecting_counts_and_continues(fake_world, tmp_path, capsys):
    words = ["--out", str(tmp_path), "--first-seed", "0", "--episodes"]
    assert collect.run(parse(collect, *words, "4")) == 0
    assert "3 made, 1 failed, 0 were there already" in capsys.readouterr().out
    assert collect.run(parse(collect, *words, "6")) == 0
    assert "1 made, 1 failed, 4 were there already" in capsys.readouterr().out


def test_collecting_refuses_evaluation_seeds_before_it_starts(fake_world, tmp_path):
    words = ["--out", str(tmp_path), "--first-seed", "49999", "--episodes", "2"]
    with pytest.raises(SimulationError, match="50000"):
        collect.run(parse(collect, *words))
    with pytest.raises(ConfigError, match="--workers 0"):
        collect.run(parse(collect, "--out", "x", "--episodes", "1", "--workers", "0"))
    assert list(tmp_path.iterdir()) == []
