# SPDX-License-Identifier: Apache-2.0
"""``mu0 train world-model`` on episodes: which training is meant, and what reaches it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from mu0_core.cli import main, train, train_episodes
from mu0_core.errors import ConfigError
from mu0_core.training.episodes import run as module
from mu0_core.training.episodes.settings import EpisodeTraining
from mu0_core.training.train_state import Progress


def parse(*words) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return parser.parse_args(["world-model", "--out", "o", *map(str, words)])


@pytest.fixture
def called(monkeypatch):
    """Replace the training; return what it was called with."""
    calls = {}

    def fake(settings, out, provenance, watcher):
        calls.update(settings=settings, out=out, origin=provenance("data"))
        watcher.stage("training")
        progress = Progress(step=5, metrics={"ade_uvz": 0.5}, running={"total": 1.0})
        progress.update_s, progress.waiting_s, progress.replaced = 10.0, 0.2, 3
        watcher.step(progress, 1.0)
        return progress

    monkeypatch.setattr(module, "train_on_episodes", fake)
    return calls


def test_options_become_settings(called, episodes, capsys):
    args = parse(
        "--data", episodes, "--steps", 7, "--seed", 3, "--batch-size", 6, "--learning-rate", 0.01,
        "--from", "it's", "--lora", 4, "--normalizer", "recompute", "--accept", "target",
        "--set", "data.workers=0", "--set", "run.batch_size=8",
    )  # fmt: skip
    assert train.run(args) == 0
    settings: EpisodeTraining = called["settings"]
    assert settings.data.episodes == (str(episodes),) and settings.data.workers == 0
    assert (settings.run.steps, settings.run.seed) == (7, 3)
    assert settings.run.batch_size == 8  # --set wins
    assert settings.optimiser.learning_rate == 0.01
    tuned = settings.fine_tune
    assert (tuned.start, tuned.lora_rank, tuned.normalizer) == ("it's", 4, "recompute")
    assert tuned.accept == ("target",)
    assert called["origin"].seed == 3 and called["out"] == Path("o")
    shown = capsys.readouterr().out
    assert "5 updates, ade_uvz 0.5" in shown
    assert "0.50 updates/s, 2.0% of their time spent waiting for data" in shown
    assert "0 skipped, 3 samples replaced" in shown


def test_the_data_of_the_command_line_beats_that_of_the_file(called, episodes, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("data: {split_file: s.json}\nrun: {steps: 12, seed: 9}\n")
    assert train.run(parse("--config", path)) == 0
    assert called["settings"].data.split_file == "s.json" and called["origin"].seed == 9
    assert train.run(parse("--config", path, "--data", episodes)) == 0
    data = called["settings"].data
    assert data.episodes == (str(episodes),) and data.split_file is None
    assert called["settings"].run.steps == 12


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--minutes", 3], "--minutes does not apply to episodes"),
        (["--steps", 3, "--max-snapshots", 3], "--max-snapshots does not apply to episodes"),
        (["--steps", 3, "--set", "run.stepz=4"], "run.stepz: unknown; allowed are steps, batch"),
        (["--steps", 3, "--lora", 2], "need a checkpoint to start from"),
    ],
)
def test_what_makes_no_sense_is_refused(called, episodes, words, message):
    with pytest.raises(ConfigError, match=message):
        train.run(parse("--data", episodes, *words))
    assert not called


def test_an_episode_folder_is_recognised(episodes):
    assert train_episodes.is_meant(parse("--data", episodes, "--steps", 1))
    assert train_episodes.is_meant(parse("--data", episodes / "episode0", "--steps", 1))


def test_a_training_runs_from_the_command_line(episodes, tmp_path, capsys):
    words = (
        f"train world-model --data {episodes} --out {tmp_path} --steps 2 --batch-size 2 "
        "--set model.architecture=tiny --set data.workers=0 --set run.trackers=[] "
        "--set evaluation.samples=1"
    )
    assert main.main(words.split()) == 0
    shown = capsys.readouterr()
    assert "2 updates, ade_uvz" in shown.out and "waiting" in shown.err
    assert (tmp_path / "MODEL_CARD.md").is_file()
    assert main.main([*words.split(), "--set", "model.architecture=none"]) == 2
    assert "expected 'embedded', 'tiny' or a folder" in capsys.readouterr().err
