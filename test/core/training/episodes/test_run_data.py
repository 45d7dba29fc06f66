# SPDX-License-Identifier: Apache-2.0
"""Bad data and other checkpoints: each is left out and counted, or refused by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from mu0_core.data.captions import Captions
from mu0_core.data.episode import CAPTIONS_FILE
from mu0_core.data.normalizer import Normalizer
from mu0_core.errors import ConfigError, DataError
from mu0_core.training.episodes.settings import FineTuneSettings, ModelSettings


def test_broken_episodes_and_slots_are_left_out_and_counted(copy, tmp_path, run, changed):
    folder, settings = copy
    (folder / "episode0/images.npy").unlink()
    traj = np.load(folder / "episode1/samples/traj.npy")
    traj[0, 2] = np.nan
    np.save(folder / "episode1/samples/traj.npy", traj)
    np.save(folder / "episode2/depth.npy", np.zeros((4, 9, 9), np.float16))
    moving = np.load(folder / "episode4/samples/is_moving.npy")
    moving[:10] = False
    np.save(folder / "episode4/samples/is_moving.npy", moving)
    valid = np.load(folder / "episode5/samples/valid_steps.npy")
    valid[:10, 10:] = False
    np.save(folder / "episode5/samples/valid_steps.npy", valid)
    names = [f"data/episode{k}" for k in (0, 1, 2, 4, 5)]
    split = {"train": names, "held_out": ["data/episode3"]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    settings = changed(settings, data={"episodes": (), "split_file": str(tmp_path / "split.json")})
    progress, watcher = run(settings, tmp_path / "out")
    text = " | ".join(watcher.notes)
    assert "3 broken episodes left out; episode0: " in text and "images.npy: missing" in text
    assert "1 slots left out: no moving point" in text
    assert "1 slots left out: no moving point with 10 valid steps" in text
    card = (tmp_path / "out/MODEL_CARD.md").read_text()
    assert "6 usable slots" in card and "3 broken episodes, 2 slots left out" in card
    assert progress.step == 4


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda e: shutil.rmtree(e / "samples"), "no usable slot in the training.*missing"),
        (
            lambda e: np.save(e / "samples/is_moving.npy", np.zeros(40, bool)),
            "no usable slot in the training.*no moving point",
        ),
        (
            lambda e: (e / CAPTIONS_FILE).write_text(Captions().to_json()),
            "none of 20 usable slots has an instruction.*data.captions: optional",
        ),
    ],
)
def test_data_that_teaches_nothing_is_refused(copy, tmp_path, spoil, message, run):
    folder, settings = copy
    for episode in folder.iterdir():
        spoil(episode)
    with pytest.raises(DataError, match=message):
        run(settings, tmp_path / "out")


def test_data_without_captions_can_be_meant(copy, tmp_path, run, changed):
    folder, settings = copy
    for episode in folder.iterdir():
        (episode / CAPTIONS_FILE).unlink()
    _, watcher = run(changed(settings, data={"captions": "optional"}), tmp_path / "out")
    assert "20 of 20 usable slots have no instruction" in watcher.notes


def test_an_empty_folder_is_refused(settings, tmp_path, run, changed):
    settings = changed(settings, data={"episodes": (str(tmp_path),)})
    with pytest.raises(DataError, match="0 episodes in the released format"):
        run(settings, tmp_path / "out")


def test_timed_targets_need_timed_files(settings, tmp_path, run, changed):
    with pytest.raises(DataError, match=r"raw_traj\.npy: missing"):
        run(changed(settings, data={"target": "time"}), tmp_path)


def test_a_model_without_depth_needs_no_depth_files(copy, tmp_path, run, changed):
    folder, settings = copy
    for episode in folder.iterdir():
        (episode / "depth.npy").unlink()
    run(changed(settings, data={"depth": False, "history": False}), tmp_path / "out")
    stats = Normalizer.from_file(tmp_path / "out/normalizer_stats.json")
    assert stats.depth_log_range is None


# --- learning on ---


def test_adapters_are_merged_into_a_checkpoint_that_can_be_learned_on_from(
    settings, tmp_path, run, tensors
):
    run(settings, tmp_path / "base")
    start = replace(
        settings, model=ModelSettings(),
        fine_tune=FineTuneSettings(start=str(tmp_path / "base"), lora_rank=2),
    )  # fmt: skip
    _, watcher = run(start, tmp_path / "lora")
    base, lora = tensors(tmp_path / "base"), tensors(tmp_path / "lora")
    assert base.keys() == lora.keys()
    moved = {k for k in base if not torch.equal(base[k], lora[k])}
    assert moved and all(".lm_expert.layers." in k and "norm" not in k for k in moved)
    assert not watcher.notes  # the same data: the kept scales fit
    again = replace(start, fine_tune=FineTuneSettings(start=str(tmp_path / "lora")))
    run(again, tmp_path / "more")
    with pytest.raises(DataError, match=r"other settings \(.*start_weights"):
        run(replace(again, fine_tune=start.fine_tune), tmp_path / "more")


def test_another_configuration_is_refused_before_anything_is_read(
    settings, tmp_path, run, changed
):
    run(settings, tmp_path / "base")
    start = FineTuneSettings(start=str(tmp_path / "base"))
    with pytest.raises(ConfigError, match="future_len: wanted 16, checkpoint .* has 32"):
        run(
            replace(settings, model=ModelSettings(future_len=16), fine_tune=start),
            tmp_path / "out",
        )  # fmt: skip
    with pytest.raises(ConfigError, match="target: wanted 'time'"):
        run(
            replace(
                changed(settings, data={"target": "time"}), model=ModelSettings(), fine_tune=start
            ),
            tmp_path / "out",
        )  # fmt: skip


def test_recomputed_scales_are_those_of_the_data(copy, settings, tmp_path, run):
    folder, other = copy
    run(settings, tmp_path / "base")
    for episode in folder.iterdir():
        path = episode / "samples/traj.npy"
        traj = np.load(path).astype(np.float32)
        np.save(path, (traj[:, :1] + (traj - traj[:, :1]) / 2).astype(np.float16))

    def learned_on(mode):
        fine_tune = FineTuneSettings(start=str(tmp_path / "base"), normalizer=mode)
        _, watcher = run(
            replace(other, model=ModelSettings(), fine_tune=fine_tune), tmp_path / mode
        )
        return Normalizer.from_file(tmp_path / mode / "normalizer_stats.json"), watcher.notes

    base = Normalizer.from_file(tmp_path / "base/normalizer_stats.json")
    kept, notes = learned_on("keep")
    assert kept.delta_scale == base.delta_scale and len(notes) == 3 and "0.50 times" in notes[0]
    new, notes = learned_on("recompute")
    assert new.delta_scale[0] == pytest.approx(base.delta_scale[0] / 2, rel=0.05) and not notes
    config = json.loads((tmp_path / "recompute/config.json").read_text())
    assert config["delta_scale"] == pytest.approx(new.delta_scale)


def test_an_episode_that_breaks_meanwhile_is_replaced_and_counted(copy, tmp_path, run, changed):
    _, settings = copy
    run(changed(settings, run={"steps": 1}), tmp_path / "out")
    split = json.loads((tmp_path / "out/work/split.json").read_text())
    for episode in split["train"][:2]:  # same files, same sizes: known as usable
        path = f"{episode}/samples/traj.npy"
        traj = np.load(path)
        traj[:, 1] = np.nan
        np.save(path, traj)
    progress, _ = run(changed(settings, run={"steps": 6}), tmp_path / "out")
    assert progress.step == 6 and 0 < progress.replaced <= 20
    card = (tmp_path / "out/MODEL_CARD.md").read_text()
    assert f"could not be loaded | {progress.replaced} |" in card


def test_instructions_that_are_cut_off_are_counted(settings, tmp_path, run, changed):
    settings = changed(settings, model={"max_tokens": 8}, run={"steps": 2})
    progress, _ = run(settings, tmp_path)
    assert progress.cut == 8  # every prompt has more bytes
    assert "instructions cut off | 8 |" in (tmp_path / "MODEL_CARD.md").read_text()


def test_timed_targets_and_uniform_splines_are_trained_when_asked_for(
    copy, settings, tmp_path, run, changed
):
    folder, timed = copy
    for samples in (episode / "samples" for episode in folder.iterdir()):
        for name in ("traj", "traj_history", "valid_steps", "valid_steps_history"):
            array = np.load(samples / f"{name}.npy")
            if name.startswith("traj"):  # in time, everything takes twice as long
                array = array.astype(np.float32)
                array = (array[:, :1] + (array - array[:, :1]) / 2).astype(np.float16)
            np.save(samples / f"raw_{name}.npy", array)
    timed = changed(timed, data={"target": "time"}, model={"knots": "uniform"})
    run(settings, tmp_path / "equal")
    run(timed, tmp_path / "timed")
    config = json.loads((tmp_path / "timed/config.json").read_text())
    assert config["trace_knots"] == "uniform"
    assert json.loads((tmp_path / "timed/meta.json").read_text())["target"] == "time"
    equal, slow = (
        Normalizer.from_file(tmp_path / k / "normalizer_stats.json").delta_scale
        for k in ("equal", "timed")
    )
    assert slow[0] == pytest.approx(equal[0] / 2, rel=0.05)
