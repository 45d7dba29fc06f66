# SPDX-License-Identifier: Apache-2.0
"""One trace from several samples: laws of all rules, and what each is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import ConfigError, DataError, ShapeError
from mu0_core.inference.selection import (
    FEATURES,
    RULES,
    LearnedSelection,
    fit_selection,
    fuse,
    most_central,
    path_distances,
    sample_features,
    selection_weights,
)

LEARNED = LearnedSelection((1.0, *[0.0] * (len(FEATURES) - 1)), 4.0)


def samples(seed, count=6, points=4, noise=0.1):
    """Return samples (S, N, 8, 3) around smooth paths, and those paths."""
    rng = np.random.default_rng(seed)
    truth = np.cumsum(rng.normal(size=(points, 8, 3)), axis=1)
    return truth + noise * rng.normal(size=(count, points, 1, 3)), truth


def chosen(rule, paths):
    return fuse(selection_weights(rule, paths, LEARNED), paths)


@pytest.mark.parametrize("rule", RULES)
@given(seed=st.integers(0, 999))
def test_weights_are_shares_and_follow_the_samples(rule, seed):
    paths, _ = samples(seed)
    weights = selection_weights(rule, paths, LEARNED)
    assert weights.shape == (6, 4) and (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    moved = selection_weights(rule, paths @ turn + 5.0, LEARNED)
    np.testing.assert_allclose(moved, weights, atol=1e-5)  # where the camera is does not matter
    if rule != "first":
        order = np.random.default_rng(seed).permutation(6)
        np.testing.assert_allclose(chosen(rule, paths[order]), chosen(rule, paths), atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_one_sample_and_equal_samples_are_what_they_are(rule):
    paths, _ = samples(0)
    np.testing.assert_array_equal(chosen(rule, paths[:1]), paths[0])
    same = np.repeat(paths[:1], 5, axis=0)
    np.testing.assert_allclose(chosen(rule, same), paths[0], atol=1e-9)


@pytest.mark.parametrize("rule", ["point_central", "mean", "median", "mode", "learned"])
def test_consensus_is_nearer_to_what_the_samples_spread_around(rule):
    paths, truth = samples(1, count=16, points=300)
    error = np.linalg.norm(chosen(rule, paths) - truth, axis=-1).mean()
    assert error < 0.6 * np.linalg.norm(paths[0] - truth, axis=-1).mean()


def test_an_outlier_moves_the_mean_but_not_the_median_nor_the_mode():
    paths, truth = samples(2, count=9)
    paths[3] += 50.0
    error = {r: np.linalg.norm(chosen(r, paths) - truth, axis=-1).max() for r in RULES[1:6]}
    assert error["mean"] > 5
    assert max(error[r] for r in ("central", "point_central", "median", "mode")) < 0.5


def test_of_two_ways_the_mode_takes_the_one_of_most_samples_and_not_the_middle():
    paths, truth = samples(3, count=10)
    other = truth + np.array([10.0, 0, 0])
    paths[7:] += 10.0 * np.array([1.0, 0, 0])
    for rule in ("mode", "point_central"):
        np.testing.assert_allclose(chosen(rule, paths), truth, atol=0.5)
    middle = chosen("mean", paths)
    assert np.abs(middle - truth).max() > 2 and np.abs(middle - other).max() > 2


def test_the_geometric_median_has_the_least_sum_of_distances():
    paths, _ = samples(4, noise=1.0)
    found = chosen("median", paths)

    def total(center):
        return np.linalg.norm((paths - center).reshape(*paths.shape[:2], -1), axis=-1).sum(axis=0)

    rng = np.random.default_rng(0)
    for _ in range(20):
        assert (total(found) <= total(found + 0.05 * rng.normal(size=found.shape)) + 1e-4).all()


def test_the_central_sample_is_one_of_the_whole_scene():
    paths, _ = samples(5)
    weights = selection_weights("central", paths)
    assert (weights[most_central(paths)] == 1).all() and weights.sum() == weights.shape[1]


def test_a_learned_rule_finds_what_tells_good_samples():
    rng = np.random.default_rng(6)
    paths, truth = samples(6, count=8, points=400, noise=0.0)
    start = truth[:, :1]
    longer = rng.uniform(0.7, 1.3, (8, 400, 1, 1))
    paths = start + longer * (truth - start)  # some too long, some too short
    target = start + 1.25 * (truth - start)  # the truth is longer than most
    errors = np.linalg.norm(paths - target, axis=-1).mean(axis=-1)
    scale = path_distances(paths).sum(axis=(0, 1)) / 56
    weights = fit_selection(sample_features(paths), errors, scale)
    assert weights[FEATURES.index("length")] + weights[FEATURES.index("end")] < 0
    learned = LearnedSelection(tuple(weights), 64.0)
    picked = fuse(selection_weights("learned", paths, learned), paths)
    error = np.linalg.norm(picked - target, axis=-1).mean()
    assert error < 0.5 * np.linalg.norm(chosen("median", paths) - target, axis=-1).mean()
    even = selection_weights("learned", paths, LearnedSelection(tuple(weights), 0.0))
    np.testing.assert_allclose(even, 1 / 8)


def test_points_without_error_teach_nothing():
    paths, _ = samples(7)
    features, scale = sample_features(paths), np.ones(4)
    errors = np.random.default_rng(0).random((6, 4))
    some = errors.copy()
    some[:, 2] = np.nan
    rest = [0, 1, 3]
    np.testing.assert_allclose(
        fit_selection(features, some, scale), fit_selection(features[:, rest], errors[:, rest],
                                                            scale[rest]))  # fmt: skip
    with pytest.raises(DataError, match="no point with valid steps"):
        fit_selection(features, np.full((6, 4), np.nan), scale)


def test_bad_requests_are_named():
    paths, _ = samples(0)
    with pytest.raises(ConfigError, match="selection 'best': expected one of first, central"):
        selection_weights("best", paths)
    with pytest.raises(ConfigError, match="needs a calibration"):
        selection_weights("learned", paths)
    with pytest.raises(ShapeError, match="S >= 1"):
        selection_weights("mean", paths[0])
    for values in ((1.0,), (np.nan,) * len(FEATURES)):
        with pytest.raises(DataError, match="finite weights"):
            LearnedSelection(values, 1.0)
    with pytest.raises(DataError, match="sharpness"):
        LearnedSelection(LEARNED.weights, -1.0)
    assert LearnedSelection.from_json(LEARNED.to_json()) == LEARNED
    with pytest.raises(DataError, match="no learned selection"):
        LearnedSelection.from_json({"weights": None})
