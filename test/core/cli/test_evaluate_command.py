# SPDX-License-Identifier: Apache-2.0
"""``mu0 evaluate`` from end to end: a tiny model, small episodes, the table and the files."""

from __future__ import annotations

import errno
import json
from dataclasses import replace

import pytest
import torch

from mu0_core.cli.main import main
from mu0_core.inference.calibration import CALIBRATION_FILE, Calibration
from mu0_core.model.build import build_world_model
from mu0_core.model.loading import save_world_model
from mu0_core.testing.synthetic_episode import write_episode
from mu0_core.training.episodes.tiny_profile import TINY_SIZES, TINY_WORLD_MODEL


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder with eight episodes and a split file."""
    folder = tmp_path_factory.mktemp("data")
    for seed in range(8):
        write_episode(folder / f"e{seed}", seed)
    lists = {"train": ["e[0-2]"], "held_out": ["e[3-7]"], "groups": {"task": ["e[56]"]}}
    (folder / "split.json").write_text(json.dumps(lists))
    return folder


@pytest.fixture
def model(tmp_path):
    """Return the folder of a random model."""
    folder = tmp_path / "models" / "my-model"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = replace(TINY_WORLD_MODEL, delta_scale=(0.5, 0.5, 0.1))
        save_world_model(build_world_model(config, TINY_SIZES), folder)
    return folder


def call(capsys, *words):
    code = main(["evaluate", *map(str, words), "--threads", "1"])
    return code, *capsys.readouterr()


def test_a_split_gives_tables_numbers_curves_and_a_calibration(data, model, tmp_path, capsys):
    out, picture = tmp_path / "deep/out.json", tmp_path / "deep/out.png"
    code, shown, _ = call(
        capsys, model, f"twin={model}", "--data", data / "split.json", "--points", 4,
        "--slots", "all", "--calibrate", "--select-samples", 6, "--json", out, "--plot", picture,
    )  # fmt: skip
    assert code == 0
    for wanted in (
        "# Forecast errors", "80 moving points in 20 slots of 5 episodes",
        "## All held-out episodes: 5 episodes", "## Group task: 2 episodes, 8 slots, 32 points",
        "| mu0-my-model ", "| twin ", "| no motion ", "| constant velocity ",
        "| nearest training trace ", "mu0-my-model is, top-1", "ADE 8 / 16 / 32",
        "## mu0-my-model: one trace from 6 samples", "| learned ", "| corrected ", "median ms",
        str(model / CALIBRATION_FILE),
    ):  # fmt: skip
        assert wanted in shown, wanted
    found = json.loads(out.read_text())
    assert list(found["models"]) == [
        "mu0-my-model", "twin", "no motion", "constant velocity", "nearest training trace",
    ]  # fmt: skip
    for name, tree in found["models"].items():
        assert set(tree) == {"uvz", "uv", "depth", "metres"}, name
        for axes in tree.values():
            assert set(axes) == {"ade", "fde", "dtw", "frechet"}
            for horizons in axes.values():
                assert set(horizons) == {"8", "16", "32"}
                for cell in horizons.values():
                    assert set(cell) == {"top1", "top5", "ci"}
                    (low, high), (low5, high5) = cell["ci"]
                    assert low <= cell["top1"] <= high and low5 <= cell["top5"] <= high5
                    assert cell["top5"] <= cell["top1"]
    assert found["models"]["mu0-my-model"] == found["models"]["twin"]
    zero = found["relative"]["metres"]["twin"]["top1"]
    assert zero == {"value": 0.0, "ci": [0.0, 0.0]}
    assert found["groups"]["task"]["episodes"] == 2 and found["settings"]["samples"] == 5
    assert found["selection"]["twin"]["errors"]["metres"]["first"]["gap_closed"] == 0
    assert set(found["latency_s"]) == {"mu0-my-model", "twin"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert Calibration.load(model / CALIBRATION_FILE).samples == 6


def test_baselines_need_no_model_and_one_sample_no_best(data, capsys):
    code, shown, _ = call(capsys, "--data", f"{data}/e[3-7]", "--samples", 1, "--horizons", "4")
    assert code == 0 and "| no motion " in shown and "nearest" not in shown
    assert "slots of the paper's protocol" in shown


def test_a_broken_episode_is_named_in_the_table(data, capsys, tmp_path):
    for seed in (0, 1):
        write_episode(tmp_path / "some" / f"e{seed}", seed)
    (tmp_path / "some/e1/images.npy").write_bytes(b"no")
    code, shown, _ = call(capsys, "--data", tmp_path / "some")
    assert code == 0 and "- episode left out:" in shown and "e1/images.npy" in shown


def test_a_model_that_was_trained_on_the_data_is_refused(data, model, capsys):
    (model / "work").mkdir()
    (model / "work/split.json").write_text(json.dumps({"train": [str(data / "e4")]}))
    words = (model, "--data", data / "split.json", "--points", 2)
    code, _, error = call(capsys, *words)
    assert code == 2 and "mu0-my-model was trained on 1 of 5 episodes" in error
    code, shown, _ = call(capsys, *words, "--allow-training-data")
    assert code == 0 and "WARNING: mu0-my-model was trained on 1 of 5" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--samples", "0"), "samples=0: expected 1..256"),
        (("--points", "300"), "points=300: expected 1..256"),
        (("--horizons", "8,x"), "--horizons '8,x': expected numbers with commas"),
        (("--horizons", "8,200"), "expected rising numbers of steps in 1..127"),
        (("--select", "best"), "selection 'best': expected one of"),
        (("--select", "all", "--select-samples", "1"), "--select-samples 1: expected 2..256"),
        (("--train", "nowhere"), "--train nowhere: no episode"),
        (("absent",), "no model 'absent'"),
    ],
)
def test_wrong_requests_are_one_line(data, capsys, words, message):
    code, _, error = call(capsys, *words, "--data", f"{data}/e[3-7]")
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1


def test_missing_data_two_rows_of_a_name_and_mixed_steps_are_refused(data, model, capsys):
    code, _, error = call(capsys, "--data", data / "none")
    assert code == 2 and "no episode in the released format" in error
    code, _, error = call(capsys, model, model, "--data", data)
    assert code == 2 and "two rows are called mu0-my-model" in error
    other = model.parent / "timed"
    other.mkdir()
    for file in model.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    (other / "meta.json").write_text('{"target": "time"}')
    code, _, error = call(capsys, model, other, "--data", data)
    assert code == 2 and "a step is not the same to all models" in error


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_full_disk_is_named_and_leaves_the_old_file(data, capsys, tmp_path, monkeypatch, option):
    from mu0_core.evaluation.episodes import plots, results

    def full(path, write):
        raise OSError(errno.ENOSPC, "No space left on device")

    old = tmp_path / "out"
    old.write_text("old")
    for module in (results, plots):
        monkeypatch.setattr(module, "replace_file", full)
    code, _, error = call(capsys, "--data", f"{data}/e[34]", option, old)
    assert code == 2 and f"cannot write {old}: the disk is full" in error
    assert old.read_text() == "old"
