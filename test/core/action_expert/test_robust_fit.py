# SPDX-License-Identifier: Apache-2.0
"""Rigid fits: exact motions come back, outliers do not matter, what cannot be known is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mu0_core.action_expert.geometric.robust_fit import robust_fit
from mu0_core.errors import DataError, ShapeError
from mu0_core.geometry import se3


def motion(seed):
    rng = np.random.default_rng(seed)
    T = np.eye(4)
    T[:3, :3] = Rotation.random(random_state=rng).as_matrix()
    T[:3, 3] = rng.normal(0, 0.3, 3)
    return T


def cloud(count, seed):
    return np.random.default_rng(seed).normal(0, 0.03, (count, 3))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(4, 12))
def test_an_exact_motion_comes_back(seed, count):
    T, points = motion(seed), cloud(count, seed)
    fit = robust_fit(points, se3.apply(T, points))
    np.testing.assert_allclose(fit.T_after_before, T, atol=1e-6)
    assert fit.residual_m < 1e-6 and fit.turn_known
    assert np.linalg.det(fit.T_after_before[:3, :3]) == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_third_of_wild_points_changes_nothing(seed):
    T, points = motion(seed), cloud(12, seed)
    after = se3.apply(T, points)
    after[:3] += np.random.default_rng(seed).uniform(0.15, 0.3, (3, 3))
    fit = robust_fit(points, after)
    np.testing.assert_allclose(fit.T_after_before, T, atol=1e-5)
    assert fit.kept.tolist() == [False] * 3 + [True] * 9


def test_mirrored_points_are_fitted_by_a_rotation():
    points = cloud(8, 0)
    fit = robust_fit(points, points * [1, 1, -1])
    assert np.linalg.det(fit.T_after_before[:3, :3]) == pytest.approx(1)
    assert not fit.kept.all()  # a rotation cannot do it for all


@pytest.mark.parametrize(
    "points",
    [cloud(1, 0), cloud(2, 0), np.outer(np.linspace(-0.05, 0.05, 6), [1.0, 2.0, 0.5])],
    ids=["one", "two", "line"],
)
def test_a_turn_that_does_not_show_is_left_out_and_said(points):
    moved = points + [0.1, -0.2, 0.05]
    fit = robust_fit(points, moved)
    assert not fit.turn_known
    np.testing.assert_allclose(fit.T_after_before[:3, :3], np.eye(3))
    np.testing.assert_allclose(fit.T_after_before[:3, 3], [0.1, -0.2, 0.05], atol=1e-9)


def test_weights_decide_between_two_motions():
    points = cloud(6, 1)
    after = points + np.array([[0.01, 0, 0]] * 3 + [[-0.01, 0, 0]] * 3)
    sure = np.array([1, 1, 1, 1e-3, 1e-3, 1e-3])
    fit = robust_fit(points, after, sure)
    assert fit.T_after_before[0, 3] > 0.005 > -0.005 > robust_fit(
        points, after, sure[::-1]
    ).T_after_before[0, 3]  # fmt: skip


def test_the_residual_is_that_of_the_noise():
    points = cloud(200, 2)
    noise = np.random.default_rng(3).normal(0, 0.002, points.shape)
    fit = robust_fit(points, points + noise)
    assert fit.residual_m == pytest.approx(0.002 * np.sqrt(3), rel=0.1)


def test_bad_points_are_refused():
    points = cloud(4, 0)
    with pytest.raises(ShapeError, match=r"\(4, 3\) and \(3, 3\)"):
        robust_fit(points, points[:3])
    with pytest.raises(DataError, match="finite"):
        robust_fit(points, np.full((4, 3), np.nan))
    with pytest.raises(DataError, match="positive weight"):
        robust_fit(points, points, np.zeros(4))
