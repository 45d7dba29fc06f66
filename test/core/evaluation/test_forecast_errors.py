# SPDX-License-Identifier: Apache-2.0
"""Laws of the forecast errors, of the done errors and of the spread."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import DataError, NonFiniteOutputError, ShapeError
from mu0_core.evaluation import metrics
from mu0_core.evaluation.done_metrics import done_errors, end_steps
from mu0_core.evaluation.spread import expected_coverage, spread, spread_coverage


def case(seed, samples=3, points=4, steps=6):
    """Return predictions, truth and a mask with gaps; the last point has no valid step."""
    rng = np.random.default_rng(seed)
    predicted = rng.normal(size=(samples, points, steps, 3))
    valid = rng.random((points, steps)) < 0.7
    valid[:, 0], valid[-1] = True, False
    return predicted, rng.normal(size=(points, steps, 3)), valid


def align_slowly(left, right, join):
    """Least cost over all monotone alignments, by recursion."""

    @cache
    def best(i, j):
        here = float(np.linalg.norm(left[i] - right[j]))
        befores = [(i - 1, j), (i, j - 1), (i - 1, j - 1)]
        befores = [best(a, b) for a, b in befores if a >= 0 and b >= 0]
        return join(here, min(befores)) if befores else here

    return best(len(left) - 1, len(right) - 1)


@given(st.integers(0, 999))
def test_errors_are_their_definitions(seed):
    predicted, truth, valid = case(seed)
    found = metrics.path_errors(predicted, truth, valid)
    for s in range(len(predicted)):
        for k in range(len(truth) - 1):
            left, right = predicted[s, k, valid[k]], truth[k, valid[k]]
            distance = np.linalg.norm(left - right, axis=-1)
            expected = {
                "ade": distance.mean(),
                "fde": distance[-1],
                "dtw": align_slowly(left, right, lambda a, b: a + b) / len(left),
                "frechet": align_slowly(left, right, max),
            }
            assert {key: found[key][s, k] for key in found} == pytest.approx(expected)
    assert all(np.isnan(values[:, -1]).all() for values in found.values())


@given(st.integers(0, 999))
def test_what_is_not_valid_does_not_count(seed):
    predicted, truth, valid = case(seed)
    changed, hidden = predicted.copy(), truth.copy()
    changed[:, ~valid], hidden[~valid] = np.nan, np.inf
    before, after = (
        metrics.path_errors(*pair, valid) for pair in ((predicted, truth), (changed, hidden))
    )
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])


def test_a_summary_averages_the_points_that_count_and_takes_the_best_of_each():
    predicted, truth, valid = case(0)
    result = metrics.summarise(predicted, truth, valid, 4)
    errors = metrics.path_errors(predicted[:, :, :4], truth[:, :4], valid[:, :4])
    assert result["ade_uvz"] == pytest.approx(errors["ade"][0, :3].mean())
    assert result["minFrechet_3_uvz"] == pytest.approx(errors["frechet"][:, :3].min(0).mean())
    assert result["l1_uv"] + result["l1_depth"] == pytest.approx(result["l1_abs"])
    assert len(result) == 3 * (4 + 4 + 2 + 1)
    metres = metrics.summarise_metres(predicted, truth, valid, 4)
    assert metres["minADE_3_m"] == pytest.approx(result["minADE_3_uvz"])


def test_a_perfect_forecast_has_no_error_and_nothing_valid_has_no_mean():
    _, truth, valid = case(1)
    perfect = metrics.summarise(truth[None], truth, valid, 6)
    assert all(abs(v) < 1e-12 for key, v in perfect.items() if not key.startswith("smooth"))
    nothing = metrics.summarise(truth[None], truth, np.zeros_like(valid), 6)
    assert all(np.isnan(v) for v in nothing.values())


def test_smoothness_is_the_second_difference_where_three_steps_are_valid():
    path = np.arange(6.0)[:, None] ** 2 * np.array([1.0, 0, 0])
    valid = np.array([[True, True, True, True, False, True]])
    np.testing.assert_allclose(metrics.smoothness(path[None, None], valid), [[2.0]])
    valid[0, 1:3] = False
    assert np.isnan(metrics.smoothness(path[None, None], valid)).all()


def test_a_failed_prediction_is_never_averaged_away():
    predicted, truth, valid = case(2)
    broken = predicted.copy()
    broken[1, 0, 0, 2] = np.nan
    with pytest.raises(NonFiniteOutputError, match="valid step"):
        metrics.summarise(broken, truth, valid, 6)
    unknown = truth.copy()
    unknown[0, 0] = np.inf
    with pytest.raises(DataError, match="valid step"):
        metrics.path_errors(predicted, unknown, valid)
    with pytest.raises(ShapeError, match="disagree"):
        metrics.path_errors(predicted, truth[:2], valid)
    with pytest.raises(ShapeError, match="S, N, H, c"):
        metrics.path_errors(predicted[0], truth, valid)
    for horizon in (0, 7):
        with pytest.raises(ShapeError, match=r"1\.\.6"):
            metrics.summarise(predicted, truth, valid, horizon)


def test_done_errors_of_known_endings():
    target = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]], bool)
    probability = np.array([[0.9, 0.5, 0.5, 0.1], [0.9, 0.9, 0.9, 0.9], [0.9] * 4, [0.9] * 4])
    assert end_steps(target).tolist() == [2, 4, 1, 0]
    found = done_errors(probability, target, np.array([True, True, True, False]))
    assert found == pytest.approx(
        {"done_acc": 9 / 12, "done_end_step_mae": 0.5, "done_nonmono_frac": 1 / 3}
    )
    assert np.isnan(list(done_errors(probability, target, np.zeros(4, bool)).values())).all()
    with pytest.raises(ShapeError, match="disagree"):
        done_errors(probability, target, np.ones(3, bool))


def test_the_truth_of_a_model_that_knows_its_error_is_covered_as_expected():
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.1, 2, (200, 5, 1))
    samples, truth = (
        scale * rng.normal(size=(400, 200, 5, 3)),
        scale * rng.normal(size=(200, 5, 3)),
    )
    valid = np.ones((200, 5), bool)
    np.testing.assert_allclose(spread(samples), scale[..., 0], rtol=0.15)
    covered = spread_coverage(samples, truth, valid)
    for factor, share in covered.items():
        assert share == pytest.approx(expected_coverage(factor), abs=0.04)
    too_sure = spread_coverage(samples / 10, truth, valid)
    assert all(too_sure[factor] < covered[factor] - 0.1 for factor in covered)


def test_a_spread_needs_samples_and_something_to_cover():
    predicted, truth, valid = case(0)
    with pytest.raises(ShapeError, match="S >= 2"):
        spread(predicted[:1])
    with pytest.raises(ShapeError, match="disagree"):
        spread_coverage(predicted, truth[:2], valid)
    with pytest.raises(DataError, match="no step is valid"):
        spread_coverage(predicted, truth, np.zeros_like(valid))
