# SPDX-License-Identifier: Apache-2.0
"""Whole trainings of a tiny model: what they leave behind, how they continue, what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mu0_core.data.normalizer import Normalizer
from mu0_core.errors import ConfigError, DataError, NonFiniteOutputError
from mu0_core.model.loading import load_world_model
from mu0_core.training.episodes import export as export_module
from mu0_core.training.episodes.module import TraceTraining
from mu0_core.training.train_state import STATE_FILE


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def test_a_training_leaves_a_checkpoint_its_scales_and_its_story(settings, tmp_path, run, changed):
    progress, watcher = run(changed(settings, evaluation={"every": 2}), tmp_path)
    assert progress.step == 4 and [k for k, _ in watcher.steps] == [1, 2, 3, 4]
    assert 0 <= progress.waiting_share < 1 and np.isfinite(list(progress.metrics.values())).all()
    model = load_world_model(tmp_path, require_manifest=True)
    stats = Normalizer.from_file(tmp_path / "normalizer_stats.json")
    assert model.config.delta_scale == stats.delta_scale
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta["step"] == 4 and meta["target"] == "arc_length"
    card = (tmp_path / "MODEL_CARD.md").read_text()
    for wanted in ("`mu0 train world-model`", "commit: abc", "5 episodes (1 more held out)",
                   "20 usable slots", f"fingerprint {meta['data_fingerprint'][:16]}",
                   "| ade_uvz |", "| optimiser.learning_rate | 0.003 |", "| processes | 1 |",
                   "spent waiting for data | 0."):  # fmt: skip
        assert wanted in card, wanted
    split = json.loads((tmp_path / "work/split.json").read_text())
    assert len(split["train"]) == 5 and len(split["held_out"]) == 1
    best = min(progress.history, key=lambda row: row["ade_uvz"])
    assert json.loads((tmp_path / "best/meta.json").read_text())["step"] == best["step"]
    load_world_model(tmp_path / "best", require_manifest=True)


def test_the_loss_falls(settings, tmp_path, run, changed):
    settings = changed(settings, run={"steps": 60})
    _, watcher = run(settings, tmp_path)
    assert watcher.steps[-1][1] < 0.9 * watcher.steps[0][1]


@pytest.mark.parametrize("average", [False, True])
def test_ten_steps_equal_five_and_five_bit_for_bit(
    settings, tmp_path, average, run, changed, tensors
):
    settings = changed(
        settings, optimiser={"average": average}, run={"steps": 10, "save_every": 5},
        losses={"history_dropout": 0.3},
    )  # fmt: skip
    whole, _ = run(settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "cut", stop_after=7)
    second, watcher = run(settings, tmp_path / "cut")
    assert watcher.steps[0][0] == 6  # it continued from the state of step 5
    assert same(tensors(tmp_path / "whole"), tensors(tmp_path / "cut"))
    assert same(*(load_file(tmp_path / k / "work" / STATE_FILE) for k in ("whole", "cut")))
    assert (whole.metrics, whole.running) == (second.metrics, second.running)


def test_a_finished_training_goes_on_when_given_more_steps(
    settings, tmp_path, run, changed, tensors
):
    run(changed(settings, run={"steps": 6}), tmp_path / "whole")
    run(changed(settings, run={"steps": 3}), tmp_path / "two")
    run(changed(settings, run={"steps": 6}, data={"workers": 1}), tmp_path / "two")
    assert same(tensors(tmp_path / "whole"), tensors(tmp_path / "two"))


def test_accumulation_and_checkpointing_change_no_number_but_rounding(
    settings, tmp_path, run, changed, tensors
):
    run(settings, tmp_path / "one")
    run(
        changed(settings, run={"accumulation": 2, "gradient_checkpointing": True}),
        tmp_path / "two",
    )  # fmt: skip
    one, two = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=3e-6, rtol=0)


def test_another_training_in_the_same_folder_is_refused(settings, tmp_path, run, changed):
    run(settings, tmp_path)
    with pytest.raises(DataError, match=r"other settings \(losses\)"):
        run(changed(settings, losses={"done_weight": 1.0}), tmp_path)
    with pytest.raises(DataError, match=r"other settings \(data\)"):
        run(changed(settings, data={"points_max": 3}), tmp_path)


def test_a_step_that_is_not_finite_is_skipped_and_its_data_left_behind(
    settings, tmp_path, monkeypatch, run, tensors
):
    calls, losses = [], TraceTraining._losses

    def spoilt(self, batch, counts):
        terms = losses(self, batch, counts)
        calls.append(batch.time.tolist())
        return terms | {"total": terms["total"] * float("nan")} if len(calls) == 2 else terms

    monkeypatch.setattr(TraceTraining, "_losses", spoilt)
    progress, _ = run(settings, tmp_path)
    assert (progress.step, progress.skipped, len(calls)) == (4, 1, 5)
    assert len({str(times) for times in calls}) == 5  # no batch twice
    assert all(torch.isfinite(t).all() for t in tensors(tmp_path).values())
    assert "1 skipped as not finite" in (tmp_path / "MODEL_CARD.md").read_text()


def test_too_many_such_steps_end_the_training(settings, tmp_path, monkeypatch, run, changed):
    def nan(self, batch, counts):
        total = sum(p.sum() for p in self.parameters() if p.requires_grad) * float("nan")
        return {"total": total}

    monkeypatch.setattr(TraceTraining, "_losses", nan)
    with pytest.raises(NonFiniteOutputError, match="3 consecutive updates"):
        run(changed(settings, run={"max_skipped": 3}), tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before(settings, tmp_path, monkeypatch, run, changed):
    run(settings, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    save = export_module.save_checkpoint

    def full(folder, *args, **kwargs):
        save(folder, *args, **kwargs)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module, "save_checkpoint", full)
    with pytest.raises(DataError, match=r"cannot write .*model.safetensors: the disk is full"):
        run(changed(settings, run={"steps": 5}), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before
    assert not (tmp_path / ".new").exists()
    load_world_model(tmp_path, require_manifest=True)


def test_progress_reaches_tensorboard(settings, tmp_path, run, changed):
    pytest.importorskip("tensorboard")
    run(changed(settings, run={"steps": 10, "trackers": ("tensorboard",)}), tmp_path)
    events = list((tmp_path / "work").rglob("events.out.tfevents.*"))
    assert any(b"held_out/ade_uvz" in e.read_bytes() for e in events)
    assert any(b"train/total" in e.read_bytes() for e in events)


def test_trackers_that_do_not_exist_are_named(settings, tmp_path, run, changed):
    with pytest.raises(ConfigError, match="run.trackers: 'notebook' is not known"):
        run(changed(settings, run={"trackers": ("notebook",)}), tmp_path)
