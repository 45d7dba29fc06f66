# SPDX-License-Identifier: Apache-2.0
"""From recordings to a checkpoint: measured before and after, resumable, never over another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mu0_core.errors import ConfigError, DataError
from mu0_core.model.checkpoint import WEIGHTS
from mu0_core.testing.synthetic_episode import write_episode
from mu0_core.training.adaptation.run import Request, adapt
from mu0_core.training.adaptation.settings import Adaptation
from mu0_core.training.model_card import CARD, Provenance
from mu0_core.training.train_state import STATE_FILE
from mu0_core.training.watcher import Watcher

SETTINGS = Adaptation(
    views=2,
    steps=6,
    batch_size=4,
    points=6,
    lora_rank=2,
    precision="fp32",
    save_every=2,
    replay_measured=1,
)


@pytest.fixture(scope="module")
def prepared(record, checkpoint):
    """Return what prepares a request for an adaptation to three recordings in a folder."""

    def prepare(folder: Path) -> Request:
        for seed in (1, 2, 4):
            record(folder / "films", folder / "extracted", seed)
        return Request((folder / "films",), checkpoint, folder / "models" / "mine")

    return prepare


@pytest.fixture
def asked(prepared, tmp_path) -> Request:
    return prepared(tmp_path)


def run(request: Request, settings=SETTINGS, stop_after: int | None = None):
    """Adapt; the recordings' episodes are put in place instead of extracted."""

    def origin(data: str) -> Provenance:
        return Provenance("mu0 adapt", 0, "abc", data)

    class Placing(Watcher):
        def stage(self, text):
            extracted = request.recordings[0].parent / "extracted"
            if text.startswith("traces of") and extracted.exists():
                extracted.rename(request.out / "work" / "recordings")

        def step(self, progress, share):
            if progress.step == stop_after:
                raise KeyboardInterrupt

    return adapt(request, settings, origin, Placing())


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    """Return an adaptation with old tasks, and what came of it."""
    folder = tmp_path_factory.mktemp("finished")
    for seed in range(6):
        write_episode(folder / "old" / f"e{seed}", 30 + seed)
    request = replace(prepared(folder), replay=folder / "old")
    return request, run(request)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def test_the_model_learns_and_its_card_says_what_it_was_before(finished):
    request, found = finished
    assert found.measured == ("film4",) and found.slots == 16
    before, after = found.new
    assert before.keys() == after.keys() and before["ade_uvz"] != after["ade_uvz"]
    old, new = weights(request.start), weights(request.out)
    assert old.keys() == new.keys()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed and not any("vision" in name for name in changed)
    card = (request.out / CARD).read_text()
    assert "3 recordings without action labels" in card and "film1: push it" in card
    assert f"ade_uvz was {before['ade_uvz']:.4g} before" in card
    assert "episodes of old tasks" in card


def test_old_tasks_are_measured_before_and_after(finished):
    before, after = finished[1].old
    assert before["ade_uvz"] != after["ade_uvz"]
    assert before["ade_uvz"] != finished[1].new[0]["ade_uvz"]


def test_more_steps_go_on_from_there_and_what_was_measured_before_is_kept(finished):
    request, _ = finished
    short = weights(request.out)
    path = request.out / "work" / "before" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ade_uvz": 7.0}))
    found = run(request, replace(SETTINGS, steps=8))
    assert found.new[0]["ade_uvz"] == 7.0
    assert any(not torch.equal(short[k], v) for k, v in weights(request.out).items())


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"text": "other words"}, "text"),
        ({"replay": None}, "replay"),
        ({"lora_rank": 4}, "settings"),
        ({"film": "film1"}, "recordings"),
    ],
)
def test_another_adaptation_is_not_mixed_with_the_one_that_is_there(finished, change, name):
    request, settings = finished[0], SETTINGS
    if "film" in change:
        request = replace(request, recordings=(request.recordings[0] / change["film"],))
    elif "lora_rank" in change:
        settings = replace(settings, **change)
    else:
        request = replace(request, **change)
    with pytest.raises(DataError, match=rf"another adaptation \({name} differ\)"):
        run(request, settings)


def test_a_killed_adaptation_ends_with_the_weights_of_one_that_was_not(asked):
    with pytest.raises(KeyboardInterrupt):
        run(asked, stop_after=3)
    assert not (asked.out / WEIGHTS).exists()
    run(asked)
    continued = weights(asked.out)
    (asked.out / "work" / STATE_FILE).unlink()
    run(asked)
    for name, tensor in weights(asked.out).items():
        torch.testing.assert_close(tensor, continued[name], rtol=0, atol=0)


def test_a_folder_that_holds_something_else_is_left_alone(asked, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    other = replace(asked, out=tmp_path / "full")
    with pytest.raises(DataError, match="holds something else"):
        adapt(other, SETTINGS, lambda data: None)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_what_is_no_checkpoint_is_named(asked, tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        adapt(replace(asked, start=tmp_path / "nowhere"), SETTINGS, lambda data: None)


def test_a_folder_without_old_episodes_is_named(asked, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no episodes of old tasks there"):
        adapt(replace(asked, replay=tmp_path / "empty"), SETTINGS, lambda data: None)


def test_old_episodes_shorter_than_the_horizon_are_named(asked, tmp_path):
    for seed in range(3):
        folder = write_episode(tmp_path / "old" / f"e{seed}", 30 + seed)
        for name in ("traj", "valid_steps"):
            path = folder / "samples" / f"{name}.npy"
            np.save(path, np.load(path)[:, :20])
    with pytest.raises(DataError, match="20 columns, need 33"):
        run(replace(asked, replay=tmp_path / "old"))
