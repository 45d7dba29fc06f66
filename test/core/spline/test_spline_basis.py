# SPDX-License-Identifier: Apache-2.0
"""Laws of the basis: partition of unity, end points, affine invariance, derivatives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import ShapeError
from mu0_core.spline.basis import bezier_knots, derivative_matrix, design_matrix, uniform_knots
from mu0_core.spline.evaluate import differentiate, evaluate

KNOTS = [bezier_knots(4), bezier_knots(7), bezier_knots(10), uniform_knots(6), uniform_knots(10)]
GRID = np.linspace(0, 1, 65)
knots_drawn = st.sampled_from(KNOTS)
seeds = st.integers(0, 2**32 - 1)


def control_of(knots, seed, rows=3):
    return np.random.default_rng(seed).normal(size=(rows, len(knots) - 4, 3))


@given(knots_drawn, st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_basis_is_a_partition_of_unity(knots, parameters):
    basis = design_matrix(knots, 3, np.array(parameters))
    assert np.all(basis >= 0)
    np.testing.assert_allclose(basis.sum(axis=1), 1, atol=1e-12)


@given(knots_drawn, seeds)
def test_a_spline_begins_and_ends_at_its_outer_control_points(knots, seed):
    control = control_of(knots, seed)
    np.testing.assert_allclose(
        evaluate(control, knots, np.array([0.0, 1.0])), control[:, [0, -1]], atol=1e-12
    )


@given(knots_drawn, seeds)
def test_an_affine_map_of_the_control_points_maps_the_spline(knots, seed):
    control, rng = control_of(knots, seed), np.random.default_rng(seed + 1)
    matrix, shift = rng.normal(size=(3, 3)), rng.normal(size=3)
    np.testing.assert_allclose(
        evaluate(control @ matrix.T + shift, knots, GRID),
        evaluate(control, knots, GRID) @ matrix.T + shift,
        atol=1e-10,
    )


@given(knots_drawn, seeds)
def test_a_spline_stays_in_the_box_of_its_control_points(knots, seed):
    control = control_of(knots, seed)
    points = evaluate(control, knots, GRID)
    assert np.all(points >= control.min(axis=1, keepdims=True) - 1e-12)
    assert np.all(points <= control.max(axis=1, keepdims=True) + 1e-12)


@given(knots_drawn, seeds, st.integers(1, 2))
def test_the_derivative_is_the_finite_difference(knots, seed, order):
    control, inside, h = control_of(knots, seed), np.array([0.11, 0.41, 0.58, 0.93]), 1e-5
    after, before = (differentiate(control, knots, inside + s * h, order - 1) for s in (1, -1))
    slope = (after - before) / (2 * h)
    np.testing.assert_allclose(
        differentiate(control, knots, inside, order), slope, atol=1e-3, rtol=1e-5
    )


@given(knots_drawn)
def test_derivatives_of_a_constant_are_zero_and_order_zero_is_the_basis(knots):
    for order in (1, 2, 3):
        matrix = derivative_matrix(knots, 3, GRID, order)
        np.testing.assert_allclose(matrix.sum(axis=1), 0, atol=1e-6 * np.abs(matrix).max())
    basis = design_matrix(knots, 3, GRID)
    np.testing.assert_array_equal(derivative_matrix(knots, 3, GRID, 0), basis)


def test_released_splines_are_joined_bezier_cubics():
    control, knots = control_of(KNOTS[2], 1), KNOTS[2]
    for piece in range(3):
        t = np.linspace(0, 1, 9)[:, None]
        a, b, c, d = (control[:, None, 3 * piece + j] for j in range(4))
        bezier = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
        points = evaluate(control, knots, (piece + t[:, 0]) / 3)
        np.testing.assert_allclose(points, bezier, atol=1e-12)


def test_uniform_knots_are_smooth_where_released_ones_have_corners():
    jumps = []
    for knots, joint in ((uniform_knots(7), 0.5), (bezier_knots(7), 0.5)):
        either = np.array([joint - 1e-9, joint + 1e-9])
        jumps.append(np.ptp(differentiate(control_of(knots, 3), knots, either), axis=1).max())
    assert jumps[0] < 1e-5 < 0.1 < jumps[1]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: bezier_knots(9), "9 control points"),
        (lambda: uniform_knots(3), "3 control points"),
        (lambda: design_matrix(KNOTS[0], 3, np.array([1.1])), "1.1"),
        (lambda: derivative_matrix(KNOTS[0], 3, GRID, 4), "order 4"),
        (lambda: evaluate(np.zeros((2, 9, 3)), KNOTS[2], GRID), r"\(2, 9, 3\)"),
    ],
)
def test_bad_splines_are_named(call, named):
    with pytest.raises(ShapeError, match=named):
        call()
