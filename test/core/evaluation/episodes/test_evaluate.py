# SPDX-License-Identifier: Apache-2.0
"""Forecasts against the truth of episodes: right numbers, whatever is evaluated beside them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from mu0_core.data.episode import EpisodeReader
from mu0_core.data.sample import displacements
from mu0_core.errors import (
    ConfigError,
    DataError,
    ModelIntegrityError,
    NonFiniteOutputError,
    UnknownModelError,
)
from mu0_core.evaluation.episodes.evaluate import EVERYTHING, evaluate
from mu0_core.evaluation.episodes.methods import ConstantVelocity, Forecasts, NoMotion
from mu0_core.evaluation.episodes.models import ModelMethod, find_model, load_model, trained_steps
from mu0_core.evaluation.episodes.nearest import collect_traces
from mu0_core.evaluation.metrics import summarise
from mu0_core.training.episodes.sources import find_episodes


@dataclass
class Near:
    """Forecasts the truth, off by so many units along u, with noise that depends on the scene."""

    name: str = "mu0 near"
    off: float = 0.0
    noise: float = 0.0
    steps: int = 8
    sampled: bool = True

    def forecast(self, scene, samples):
        rng = np.random.default_rng(scene.key)
        shape = (samples, *scene.truth[:, : self.steps].shape)
        paths = scene.truth[None, :, : self.steps] + self.noise * rng.normal(size=shape)
        paths[..., 0] += self.off
        return Forecasts(paths, np.where(scene.valid[:, : self.steps], 0.9, 0.1))


@pytest.fixture
def scenes(read, episodes):
    return read(episodes)


def model_method(checkpoint, settings, name="mu0-tiny"):
    source = replace(find_model(str(checkpoint)), name=name)
    return ModelMethod(source, *load_model(source), settings)


def ade(evaluation, row, axes="uvz", which="top1", h=8):
    return evaluation.sections[0].means[row][axes, "ade", h, which].value


def test_known_forecasts_have_their_known_errors(scenes, settings, quiet):
    rows = [Near(), Near("off", off=0.25), NoMotion(8)]
    found = evaluate(rows, scenes, settings, quiet)
    assert ade(found, "mu0 near") == 0 and ade(found, "mu0 near", "metres", "best") == 0
    assert ade(found, "off") == pytest.approx(0.25) and ade(found, "off", "depth") == 0
    means = found.sections[0].means
    assert means["mu0 near"]["done", "done_acc"].value == 1
    assert ("done", "done_acc") not in means["no motion"]
    # 0.25 of the half width, at a focal length of 1.2 widths: about a tenth of the depth
    assert 0.06 < ade(found, "off", "metres") < 0.14
    assert means["off"]["pwt", 8, "top1", 20].value == 1
    assert means["off"]["pwt", 8, "top1", 5].value == 0
    assert means["mu0 near"]["pwt", 8, "top1", "mean"].value == 1
    assert means["off"]["smooth", "uvz", "truth"].value < 1e-2  # half precision
    curve = [means["off"]["curve", "uvz", "top1", h].value for h in range(1, 9)]
    assert curve == pytest.approx([0.25] * 8)
    relative = found.sections[0].relative["uvz", "top1"]
    assert relative["off"].value == -1 and "mu0 near" not in relative


def test_a_mean_is_that_of_the_metrics_over_all_points(scenes, settings, quiet):
    method = Near(noise=0.1)
    found = evaluate([method], scenes, settings, quiet).sections[0].means[method.name]
    paths = np.concatenate([method.forecast(s, 3).paths for s in scenes.scenes], axis=1)
    truth, valid = (np.concatenate([getattr(s, k) for s in scenes.scenes])
                    for k in ("truth", "valid"))  # fmt: skip
    for h in (4, 8):
        expected = summarise(paths, truth, valid, h)
        for axes in ("uvz", "uv", "depth"):
            for error in ("ade", "fde", "dtw", "frechet"):
                assert found[axes, error, h, "top1"].value == pytest.approx(
                    expected[f"{error}_{axes}"]
                )
            assert found[axes, "dtw", h, "best"].value == pytest.approx(
                expected[f"minDTW_3_{axes}"]
            )
    key = ("uvz", "ade", 8)
    assert found[*key, "best"].value < found[*key, "scene"].value < found[*key, "top1"].value


def test_rows_do_not_depend_on_each_other_nor_scenes(checkpoint, scenes, settings, quiet):
    model = model_method(checkpoint, settings)
    whole = evaluate([Near(), model, NoMotion(8)], scenes, settings, quiet)
    few = replace(scenes, scenes=scenes.scenes[9:11])
    part = evaluate([model_method(checkpoint, settings)], few, settings, quiet).rows[0].sums
    for key, sums in part.items():
        np.testing.assert_array_equal(sums, whole.rows[1].sums[key][9:11])
    assert len(whole.rows[1].latency_s) == 24 and min(whole.rows[1].latency_s) > 0


def test_more_samples_keep_the_first_and_come_closer(checkpoint, scenes, settings, quiet):
    few = replace(scenes, scenes=scenes.scenes[:4])
    found = [
        evaluate([model_method(checkpoint, s)], few, s, quiet)
        for s in (settings, replace(settings, samples=8))
    ]
    assert ade(found[0], "mu0-tiny") == pytest.approx(ade(found[1], "mu0-tiny"), rel=1e-5)
    best = [ade(f, "mu0-tiny", which="best") for f in found]
    assert best[1] < best[0] < ade(found[0], "mu0-tiny")


def test_history_depth_and_noise_reach_the_model(checkpoint, scenes, settings):
    scene = scenes.scenes[0]
    plain, quiet_one, past = (
        model_method(checkpoint, replace(settings, **how)).forecast(scene, 2).paths
        for how in ({}, {"first_noise": 0.0}, {"history": True})
    )
    assert np.abs(plain[0] - quiet_one[0]).max() > 1e-3
    np.testing.assert_allclose(plain[1], quiet_one[1], atol=1e-5)
    assert np.abs(plain - past).max() > 1e-6
    with pytest.raises(DataError, match="normalizer_stats.json is missing or holds no depth"):
        model_method(checkpoint, replace(settings, depth=True))


def test_groups_have_sections_and_short_models_leave_long_horizons_out(scenes, settings, quiet):
    groups = {"one": [scenes.scenes[0].directory], "none": [scenes.scenes[0].directory.parent]}
    found = evaluate([NoMotion(8), Near(steps=4)], scenes, settings, quiet, groups=groups)
    assert [s.name for s in found.sections] == [EVERYTHING, "one"]
    assert (found.sections[1].episodes, found.sections[1].slots) == (1, 4)
    assert any("'none'" in note for note in found.notes)
    means = found.sections[0].means
    assert ("uvz", "ade", 8, "top1") in means["no motion"]
    assert ("uvz", "ade", 8, "top1") not in means["mu0 near"]
    assert means["mu0 near"]["uvz", "ade", 4, "top1"].value == 0


def test_metres_leave_out_what_has_no_camera(read, copy, settings, quiet):
    (copy / "episode0/cameras.npz").unlink()
    found = evaluate([NoMotion(8)], read(copy), settings, quiet).sections[0].means["no motion"]
    assert found["metres", "ade", 8, "top1"].count == 80
    assert found["uvz", "ade", 8, "top1"].count == 96


def test_constant_velocity_is_right_for_even_motion_and_stays_without_a_past(scenes):
    scene = scenes.scenes[0]
    paths = ConstantVelocity(8).forecast(scene, 5).paths
    np.testing.assert_allclose(paths[0], scene.truth, atol=0.02)  # half precision, eight times
    unknown = replace(scene, known_back=np.zeros(len(scene), bool))
    np.testing.assert_array_equal(ConstantVelocity(8).forecast(unknown, 1).paths,
                                  NoMotion(8).forecast(scene, 1).paths)  # fmt: skip


def test_the_nearest_trace_is_that_of_the_same_sentence(scenes, episodes):
    folders = find_episodes(str(episodes))
    nearest = collect_traces(folders, 8)
    scene = scenes.scenes[0]
    np.testing.assert_allclose(nearest.forecast(scene, 1).paths[0], scene.truth, atol=1e-6)
    other = replace(scene, instruction="push it")
    found = nearest.forecast(other, 1).paths[0]
    assert (found[:, -1, 0] < scene.query[:, 0]).all()  # that one goes left
    unknown = replace(scene, instruction="dance")
    np.testing.assert_allclose(nearest.forecast(unknown, 1).paths[0], scene.truth, atol=1e-6)
    few = collect_traces(folders, 8, most=20)
    assert 20 <= len(few.query) < len(nearest.query) and "of 6 training episodes" in few.note


def test_a_trace_that_ends_is_held_and_nothing_to_copy_is_an_error(episodes, copy):
    nearest = collect_traces(find_episodes(str(episodes)), 32)
    assert np.isfinite(nearest.way).all()
    ended = [way for way in nearest.way if np.array_equal(way[-1], way[24])]
    assert ended and all(np.abs(way[-1]).max() > 0.1 for way in ended)
    for k in range(6):
        path = copy / f"episode{k}/samples/is_moving.npy"
        np.save(path, np.zeros_like(np.load(path)))
    with pytest.raises(DataError, match="none of 6 training episodes has a moving point"):
        collect_traces(find_episodes(str(copy)), 8)


def test_a_model_that_fails_is_not_averaged_away(checkpoint, scenes, settings, quiet):
    method = model_method(checkpoint, settings)
    with torch.no_grad():
        method.model.out_future.bias.fill_(torch.nan)
    with pytest.raises(NonFiniteOutputError, match="mu0-tiny forecast NaN .*frame"):
        evaluate([method], scenes, settings, quiet)


def test_models_are_found_by_folder_name_or_id(checkpoint, tmp_path, monkeypatch):
    assert find_model(str(checkpoint)).name == "mu0-tiny"
    named = find_model(f"my model={checkpoint}")
    assert (named.name, named.folder) == ("my model", checkpoint.resolve())
    monkeypatch.setenv("MU0_MODEL_DIR", str(checkpoint.parent))
    assert find_model("tiny").folder == checkpoint.resolve()
    with pytest.raises(UnknownModelError, match="no model 'absent'; known: tiny"):
        find_model("absent")
    with pytest.raises(ConfigError, match="holds no config.json"):
        find_model(str(tmp_path))
    with pytest.raises(ConfigError, match="expected NAME=FOLDER"):
        find_model(f"a|b={checkpoint}")


def test_a_checkpoint_of_another_configuration_is_refused(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "other")
    (folder / "sha256sums.txt").unlink()
    values = json.loads((folder / "config.json").read_text())

    def with_values(**changes):
        (folder / "config.json").write_text(json.dumps(values | changes))
        return load_model(find_model(str(folder)))

    with pytest.raises(ModelIntegrityError, match="of wrong shape"):
        with_values(trace_bspline_n_ctrl=7, trace_bspline_ctrl_per_token=7)
    with pytest.raises(ConfigError, match="no delta_scale"):
        with_values(delta_scale=None)
    with pytest.raises(ConfigError, match="no tokenizer for the backbone 'other'"):
        with_values(vlm_model_name="other")
    (folder / "meta.json").write_text('{"target": "parsecs"}')
    with pytest.raises(ConfigError, match="target 'parsecs'"):
        trained_steps(find_model(str(folder)))


def test_the_shared_displacements_are_those_of_a_sample(scenes):
    scene = scenes.scenes[3]
    episode = EpisodeReader(scene.directory, history_len=1, future_len=8)
    query, future, history = displacements(
        episode.slot(scene.slot), scene.rows, episode.image_size
    )
    np.testing.assert_array_equal(scene.truth, query[:, None] + future)
    np.testing.assert_array_equal(scene.step_back, history[:, 0])
