# SPDX-License-Identifier: Apache-2.0
"""What a spread means: coverage on new points, the file, and the forecaster that uses it."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi

from mu0_core.errors import ConfigError, DataError, ShapeError
from mu0_core.inference import runtime
from mu0_core.inference.calibration import (
    CALIBRATION_FILE,
    LEVELS,
    Calibration,
    conformal_factors,
    sample_spread,
)
from mu0_core.inference.correction import WAYS, PathCorrection
from mu0_core.inference.forecaster import WorldModelForecaster
from mu0_core.inference.selection import FEATURES, LearnedSelection
from mu0_core.model.build import build_world_model
from mu0_core.model.tensor_file import sha256
from mu0_core.spline.basis import bezier_knots, design_matrix, greville_phases, uniform_knots
from mu0_core.testing.fakes import FakeSelector
from mu0_core.training.episodes.prompts import byte_tokenizer
from mu0_core.training.episodes.tiny_profile import TINY_SIZES, TINY_WORLD_MODEL
from mu0_core.types import CameraIntrinsics, RgbdFrame

STEPS = 8


def calibration(steps=STEPS, **changes):
    factors = tuple((k + 1.0,) * steps for k in range(len(LEVELS)))
    values = dict(
        rule="mean", floor_m=0.001, factors=factors, samples=8, weights_sha256="ab",
        data_fingerprint="cd", episodes=5, seed=0,
    )  # fmt: skip
    return Calibration(**(values | changes))


def errors(rng, points=4000):
    """Return distances and spreads (N, H) of a forecast that is three times too sure."""
    sigma = rng.uniform(0.005, 0.05, (points, 1)) * np.arange(1, STEPS + 1) ** 0.5
    return np.linalg.norm(
        3 * sigma[..., None] * rng.normal(size=(points, STEPS, 3)), axis=-1
    ), sigma


def test_new_points_are_covered_as_often_as_promised():
    rng = np.random.default_rng(0)
    distance, sigma = errors(rng)
    factors = conformal_factors(distance / (sigma + 0.001))
    found = calibration(factors=tuple(map(tuple, factors)))
    distance, sigma = errors(rng)
    for level in LEVELS:
        inside = distance <= found.radius_m(sigma, level)
        assert inside.mean() == pytest.approx(level, abs=0.015)
        assert np.abs(inside.mean(axis=0) - level).max() < 0.04  # at every step
    assert found.sigma_m(sigma) == pytest.approx(3 * sigma, rel=0.2)  # it knows its excess now


def test_few_points_promise_more_than_their_quantile():
    scores = np.arange(1.0, 11)[:, None]
    assert conformal_factors(scores, (0.5, 0.9, 0.95))[:, 0].tolist() == [6, 10, 10]
    shares = [
        (np.random.default_rng(k).random(2000) <= conformal_factors(
            np.random.default_rng(k + 10**6).random((15, 1)), (0.8,))[0, 0]).mean()
        for k in range(300)
    ]  # fmt: skip
    assert 0.79 < np.mean(shares) < 0.84


def test_a_larger_spread_never_means_a_smaller_ball():
    rng = np.random.default_rng(1)
    distance, sigma = errors(rng, 200)
    found = calibration(factors=tuple(map(tuple, conformal_factors(distance / sigma))))
    for level in LEVELS:
        assert (found.radius_m(sigma * 1.1, level) > found.radius_m(sigma, level)).all()
    radii = [found.radius_m(sigma, level) for level in LEVELS]
    assert all((b >= a).all() for a, b in itertools.pairwise(radii))


def test_steps_without_truth_take_the_factor_before():
    scores = np.random.default_rng(2).random((50, 4))
    scores[:, [0, 2, 3]] = np.nan
    scores[:30, 2] = 0.5
    factors = conformal_factors(scores)
    np.testing.assert_array_equal(factors[:, 3], factors[:, 2])
    np.testing.assert_array_equal(factors[:, 0], factors[:, 1])
    with pytest.raises(DataError, match="no valid step to calibrate"):
        conformal_factors(scores * np.nan)


def test_the_spread_does_not_shrink_with_few_samples():
    paths = 0.2 * np.random.default_rng(3).normal(size=(4, 5000, 2, 3))
    few = (sample_spread(paths) ** 2).mean() ** 0.5
    assert few == pytest.approx(0.2, rel=0.02)
    with pytest.raises(ShapeError, match="S >= 2"):
        sample_spread(paths[:1])


def correction():
    """Return one that pushes every point a little along x, whatever it is."""
    features = WAYS + 4
    push = np.tile([0.02, 0.0, 0.0], 32)[None]
    return PathCorrection(
        np.eye(96)[:WAYS], np.zeros(features), np.full(features, 1e6), np.zeros((1, features)),
        np.ones((1, 1)), push,
    )  # fmt: skip


def test_a_correction_is_kept_and_must_fit(tmp_path):
    found = calibration(32, rule="corrected", correction=correction())
    again = Calibration.load(found.save(tmp_path))
    np.testing.assert_array_equal(again.correction.outputs, found.correction.outputs)
    with pytest.raises(DataError, match="rule 'mean'.*with what it needs"):
        replace(found, rule="mean")
    with pytest.raises(DataError, match="a correction of 32 steps, not 8"):
        calibration(8, rule="corrected", correction=correction())


def test_a_file_keeps_everything_and_damage_is_named(tmp_path):
    learned = LearnedSelection(tuple(range(len(FEATURES))), 2.0)
    found = calibration(rule="learned", learned=learned)
    path = found.save(tmp_path / "model")
    assert path.name == CALIBRATION_FILE and Calibration.load(path) == found
    values = json.loads(path.read_text())
    for change, message in (
        ({"version": 2}, "version 2 .*calibrate again"),
        ({"levels": [0.9]}, "calibrate again"),
        ({"factors": [[1.0]] * 3}, "4 levels"),
        ({"factors": [[1.0, 2.0], [1.0]] * 2}, "4 levels|no calibration"),
        ({"factors": [[2.0], [1.0], [3.0], [4.0]]}, "must rise"),
        ({"factors": [[1.0], [2.0], [3.0], [float("nan")]]}, "finite"),
        ({"rule": "best"}, "rule 'best'"),
        ({"learned": None}, "rule 'learned'"),
        ({"floor_m": -1}, "floor_m -1"),
        ({"more": 1}, "no calibration"),
    ):
        path.write_text(json.dumps(values | change))
        with pytest.raises(DataError, match=message):
            Calibration.load(path)
    for text in ("", "[]", "{}"):
        path.write_text(text)
        with pytest.raises(DataError, match="no calibration"):
            Calibration.load(path)


def test_wrong_steps_and_levels_are_refused():
    with pytest.raises(ShapeError, match="spread of 7 steps, calibrated are 8"):
        calibration().radius_m(np.ones((2, 7)), 0.9)
    with pytest.raises(ShapeError, match="level 0.7"):
        calibration().radius_m(np.ones((2, 8)), 0.7)


def test_control_points_belong_where_straight_lines_have_them():
    for knots in (bezier_knots(10), uniform_knots(9)):
        phases = greville_phases(knots, 3)
        assert phases[0] == 0 and phases[-1] == 1 and (np.diff(phases) > 0).all()
        grid = np.linspace(0, 1, 21)
        np.testing.assert_allclose(design_matrix(knots, 3, grid) @ phases, grid, atol=1e-12)


def test_a_calibration_of_other_weights_is_not_used(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert runtime.read_calibration(tmp_path) is None
    calibration().save(tmp_path)
    with pytest.raises(ConfigError, match="measured with other weights"):
        runtime.read_calibration(tmp_path)
    fitting = calibration(weights_sha256=sha256(tmp_path / "model.safetensors"))
    fitting.save(tmp_path)
    assert runtime.read_calibration(tmp_path) == fitting


def test_a_calibrated_forecaster_fuses_and_says_what_it_knows():
    config = replace(TINY_WORLD_MODEL, delta_scale=(0.3, 0.3, 0.1), use_dino=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_world_model(config, TINY_SIZES).eval()
    rng = np.random.default_rng(0)
    lens = CameraIntrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    frame = RgbdFrame(image, np.full((48, 64), 1.0, np.float32), lens, "camera", 0)
    query = FakeSelector().select(frame, 4)

    def forecast(found, count=4):
        own = WorldModelForecaster(model, byte_tokenizer, "m", calibration=found)
        return own.forecast(frame, "push", query, num_samples=count)

    plain, one = forecast(None), forecast(calibration(32), count=1)
    assert one.spread_m is None
    first = forecast(calibration(32, rule="first"))
    central = forecast(calibration(32, rule="central"))
    mean = forecast(calibration(32))
    np.testing.assert_allclose(central.control_points, plain.control_points, atol=1e-6)
    assert np.abs(mean.control_points - first.control_points).max() > 1e-4
    assert mean.spread_m.shape == plain.spread_m.shape and (mean.spread_m > 0).all()
    wider = forecast(replace(calibration(32), factors=tuple(
        tuple(2 * x for x in row) for row in calibration(32).factors)))  # fmt: skip
    np.testing.assert_allclose(wider.spread_m, 2 * mean.spread_m, rtol=1e-5)
    least = 3 * 0.001 / chi.ppf(0.9, 3)  # the floor alone, with the factor of 90 %
    assert mean.spread_m.min() >= least - 1e-9
    pushed = forecast(calibration(32, rule="corrected", correction=correction()))
    by = pushed.control_points - mean.control_points
    np.testing.assert_allclose(by[:, -1], [[0.02, 0, 0]] * len(by), atol=2e-3)
    np.testing.assert_allclose(by[:, 0], 0, atol=5e-3)  # a trace starts at its query point
    alone = forecast(calibration(32, rule="corrected", correction=correction()), count=1)
    np.testing.assert_array_equal(alone.control_points, one.control_points)
    with pytest.raises(ConfigError, match="32 steps, its calibration is of 8"):
        forecast(calibration(8))
