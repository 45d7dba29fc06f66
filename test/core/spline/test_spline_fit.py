# SPDX-License-Identifier: Apache-2.0
"""Fits give back what was rendered; masked steps have no say; the penalty calms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import ShapeError
from mu0_core.spline.basis import bezier_knots, uniform_knots
from mu0_core.spline.evaluate import evaluate
from mu0_core.spline.fit import fit_control_points, refit

ZERO, VALID = np.zeros((2, 32, 3)), np.ones((2, 32), bool)
KNOTS, STEPS = bezier_knots(10), np.arange(33) / 32
seeds = st.integers(0, 2**32 - 1)


def control_from_zero(seed, rows=4, count=10):
    control = np.random.default_rng(seed).uniform(-1, 1, size=(rows, count, 3))
    control[:, 0] = 0
    return control


@given(seeds, st.sampled_from([bezier_knots(10), bezier_knots(4), uniform_knots(9)]))
def test_refit_of_a_rendered_spline_gives_its_control_points(seed, knots):
    control = control_from_zero(seed, count=len(knots) - 4)
    np.testing.assert_allclose(refit(evaluate(control, knots, STEPS), knots), control, atol=1e-9)


@given(seeds)
def test_fit_without_penalty_gives_the_control_points(seed):
    control = control_from_zero(seed)
    steps = evaluate(control, KNOTS, STEPS)[:, 1:]
    fit, fitted = fit_control_points(steps, np.ones((4, 32), bool), ridge=0.0)
    assert fitted.all()
    np.testing.assert_allclose(fit, control, atol=1e-9)


@given(seeds, st.sampled_from([np.nan, np.inf, -np.inf, 1e30]))
def test_values_at_invalid_steps_have_no_say(seed, poison):
    rng = np.random.default_rng(seed)
    steps, valid = rng.normal(size=(5, 32, 3)), rng.random((5, 32)) < 0.7
    poisoned = np.where(valid[..., None], steps, poison)
    for a, b in zip(fit_control_points(steps, valid), fit_control_points(poisoned, valid)):
        np.testing.assert_array_equal(a, b)


@given(seeds)
def test_fit_is_the_stacked_least_squares_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    steps, valid = rng.normal(size=(3, 32, 3)), rng.random((3, 32)) < 0.6
    control, fitted = fit_control_points(steps, valid, clip=None)
    basis = evaluate(np.eye(10), KNOTS, STEPS)
    penalty = 0.2 * np.diff(np.eye(10), axis=0)
    for row in np.flatnonzero(fitted):
        keep = np.concatenate([[True], valid[row]])
        target = np.concatenate([np.zeros((1, 3)), steps[row]])[keep]
        left = np.vstack([basis[keep], penalty])
        right = np.vstack([target, np.zeros((9, 3))])
        np.testing.assert_allclose(control[row], np.linalg.lstsq(left, right)[0], atol=1e-9)
    assert np.all(control[~fitted] == 0)


def test_a_row_counts_from_as_many_valid_steps_as_control_points():
    valid = np.arange(32) < np.array([9, 10, 32])[:, None]
    control, fitted = fit_control_points(np.ones((3, 32, 3)), valid)
    assert fitted.tolist() == [False, True, True]
    assert np.all(control[0] == 0) and np.all(control[1:, -1] > 0.5)


def test_control_points_are_clipped():
    control, _ = fit_control_points(np.full((1, 32, 3), 9.0), np.ones((1, 32), bool))
    assert np.abs(control).max() == 1.5


def test_fit_without_penalty_survives_an_empty_piece():
    late = np.broadcast_to(np.arange(32) >= 20, (1, 32))
    control, fitted = fit_control_points(np.ones((1, 32, 3)), late, ridge=0.0, clip=None)
    assert fitted.all() and np.isfinite(control).all()
    np.testing.assert_allclose(evaluate(control, KNOTS, STEPS)[0, 21:], 1, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: fit_control_points(ZERO, VALID[:, :31]), "disagree"),
        (lambda: fit_control_points(ZERO, VALID, ridge_order=3), "3"),
        (lambda: refit(np.zeros((2, 9, 3)), KNOTS), r"\(2, 9, 3\)"),
        (lambda: refit(np.full((2, 33, 3), np.nan), KNOTS), "NaN"),
    ],
)
def test_bad_fits_are_named(call, named):
    with pytest.raises(ShapeError, match=named):
        call()
