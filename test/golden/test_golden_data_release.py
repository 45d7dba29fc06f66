# SPDX-License-Identifier: Apache-2.0
"""Data loader, splines and metrics of the release, from a folder of golden tensors."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mu0_core.data.depth_render import DepthAlignment, align_depth, render_depth, turbo_table
from mu0_core.data.episode import EpisodeReader
from mu0_core.data.normalizer import Normalizer, measure
from mu0_core.data.sample import SampleSettings, build_sample
from mu0_core.data.sampling import SamplingSettings, eligible_rows, usable_slots
from mu0_core.evaluation.done_metrics import done_errors
from mu0_core.evaluation.metrics import summarise
from mu0_core.spline.basis import bezier_knots, design_matrix
from mu0_core.spline.fit import fit_control_points

_DEFAULT = Path(__file__).resolve().parents[2].parent / "shared" / "golden"
DATA = Path(os.environ.get("MU0_GOLDEN_DIR", _DEFAULT)) / "data"


@pytest.fixture(scope="module", autouse=True)
def folder():
    if not DATA.is_dir():
        pytest.skip(f"no golden data in {DATA}; set MU0_GOLDEN_DIR")


def test_golden_release_spline_bases():
    found = 0
    for name, expected in load_file(DATA / "bspline_basis_and_turbo.safetensors").items():
        match = re.fullmatch(r"basis_(\d+)_(\d+)_(anchor|noanchor)", name)
        if not match:
            continue
        count, horizon = int(match[1]), int(match[2])
        first = 0 if match[3] == "anchor" else 1
        basis = design_matrix(bezier_knots(count), 3, np.arange(first, horizon + 1) / horizon)
        np.testing.assert_allclose(basis, expected, atol=5e-6)
        found += 1
    assert found


def test_golden_release_spline_fits():
    tensors = load_file(DATA / "bspline_fit.safetensors")
    found = 0
    for name, expected in tensors.items():
        match = re.fullmatch(r"ctrl_D(\d+)_lam([\d.]+)_ord(\d)_clip(.+)", name)
        if not match:
            continue
        clip = None if match[4] == "None" else float(match[4])
        control, fitted = fit_control_points(
            tensors["traj_future_scaled"].astype(float),
            tensors["valid_future"],
            int(match[1]),
            ridge=float(match[2]),
            ridge_order=int(match[3]),
            clip=clip,
        )
        np.testing.assert_array_equal(fitted, tensors["valid_kp" + name.removeprefix("ctrl")])
        np.testing.assert_allclose(control, expected, atol=1e-4)
        found += 1
    assert found


def test_golden_release_metrics():
    inputs = load_file(DATA / "metrics.inputs.safetensors")
    expected = json.loads((DATA / "metrics.expected.json").read_text())
    predicted, truth = inputs["pred_abs"].astype(float), inputs["gt_abs"].astype(float)
    valid = inputs["valid_future"] & inputs["key_pad_mask"][..., None]
    samples = predicted.shape[1]
    predicted = predicted.transpose(1, 0, 2, 3, 4).reshape(samples, -1, *predicted.shape[3:])
    truth, valid = truth.reshape(-1, *truth.shape[2:]), valid.reshape(-1, valid.shape[-1])
    horizons = [int(key) for key in expected if key.isdigit()]
    assert horizons
    for horizon in horizons:
        result = summarise(predicted, truth, valid, horizon)
        for key, value in expected[str(horizon)].items():
            assert result[key] == pytest.approx(value, rel=1e-4, nan_ok=True), (horizon, key)


def test_golden_release_depth_rendering():
    table = load_file(DATA / "bspline_basis_and_turbo.safetensors")["turbo_lut"]
    np.testing.assert_allclose(turbo_table(), table, atol=5e-6)
    tensors, low_high = load_file(DATA / "depth_render.safetensors"), depth_range()
    rendered = render_depth(tensors["depth_m"], *low_high)
    np.testing.assert_allclose(rendered, tensors["rgb"], atol=5e-6)
    aligned = [name for name in tensors if name.startswith("aligned_")]
    assert aligned
    for name in aligned:
        method = DepthAlignment(name.removeprefix("aligned_"))
        result = align_depth(tensors["depth_m"], method, *low_high)
        np.testing.assert_allclose(result, tensors[name], rtol=1e-5, atol=5e-6, equal_nan=True)


def test_golden_release_loader_finds_the_slots_and_captions():
    expected, episode, settings = loader(), open_episode(), sample_settings()
    assert usable_slots(episode, settings.sampling) == expected["usable_slots"]
    assert expected["slots"]
    for index, slot in expected["slots"].items():
        frame = int(episode.frame_indices[int(index)])
        assert frame == slot["frame_index"]
        spoken = [tuple(entry) for entry in slot["caption_entries"] if entry]
        assert sorted(episode.captions.at(frame)) == sorted(spoken)


def test_golden_release_loader_builds_the_samples():
    episode, settings, slots = open_episode(), sample_settings(), loader()["slots"]
    assert slots
    for index in map(int, slots):
        golden = load_file(DATA / f"loader_slot{index}.safetensors")
        eligible = eligible_rows(episode.slot(index), settings.sampling, *episode.image_size)
        assert set(eligible) == set(golden.pop("eligible_rows_in_slot"))
        rows = golden.pop("rows_in_slot")
        sample = build_sample(episode, index, rows, settings)
        assert golden.keys() >= {"current_kp", "traj_future", "ctrl_pts_future", "image"}
        for name, tensor in golden.items():
            actual, atol = getattr(sample, name), 1e-4 if name == "ctrl_pts_future" else 5e-6
            assert actual.shape == tensor.shape, name
            np.testing.assert_allclose(actual, tensor, atol=atol, rtol=1e-5, err_msg=name)


def test_golden_release_normaliser_statistics():
    expected = loader()["delta_stats"]
    Normalizer.from_dict(expected)
    measured = measure([open_episode()], np.random.default_rng(0))
    for key, value in expected.items():
        actual = getattr(measured, key)
        assert actual == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5)), key


def test_golden_release_done_metrics():
    inputs = load_file(DATA / "metrics.inputs.safetensors")
    expected = json.loads((DATA / "metrics.expected.json").read_text())["done"]
    result = done_errors(inputs["done_prob"], inputs["valid_future"], inputs["key_pad_mask"])
    assert result == pytest.approx(expected, rel=1e-4, nan_ok=True)


def loader() -> dict:
    return json.loads((DATA / "loader.expected.json").read_text())


def depth_range() -> tuple[float, float]:
    low, high = loader()["settings"]["depth_log_range"]
    return low, high


def open_episode() -> EpisodeReader:
    (directory,) = (path for path in DATA.iterdir() if path.is_dir())
    given = loader()["settings"]
    return EpisodeReader(
        directory, history_len=given["history_len"], future_len=given["future_len"]
    )


def sample_settings() -> SampleSettings:
    given = loader()["settings"]
    return SampleSettings(
        delta_scale=tuple(given["delta_scale"]),
        depth_log_range=depth_range(),
        image_size=given["image_size"],
        ridge=given["reg_lambda"],
        ridge_order=given["reg_order"],
        clip=given["ctrl_clip"],
        sampling=SamplingSettings(given["n_min"], given["n_max"], given["n_ctrl"]),
    )
