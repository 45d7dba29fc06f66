# SPDX-License-Identifier: Apache-2.0
"""Pairs of points give the mount; bad pairs are left out, a line is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.calibration.point_pairs import fit_pairs
from mu0_core.errors import DataError
from mu0_core.geometry import se3
from mu0_core.testing.calibration_views import error_of, pose


def case(seed, count=10, noise_m=0.0):
    rng = np.random.default_rng(seed)
    T = pose(rng.uniform(-1, 1, 3), rng.normal(0, 1.5, 3))
    camera = rng.uniform([-0.3, -0.3, 0.4], [0.3, 0.3, 1.0], (count, 3))
    return T, camera, se3.apply(T, camera) + rng.normal(0, noise_m, (count, 3))


@given(st.integers(0, 10**6), st.integers(4, 20))
@settings(max_examples=30, deadline=None)
def test_exact_pairs_give_the_exact_mount(seed, count):
    T, camera, mount = case(seed, count)
    mm, deg = error_of(fit_pairs(camera, mount).T_mount_camera, T)
    assert mm < 1e-6 and deg < 1e-4


def test_noise_is_averaged_and_its_spread_is_honest():
    T, camera, mount = case(7, 20, 0.001)
    fit = fit_pairs(camera, mount)
    _, deg = error_of(fit.T_mount_camera, T)
    assert deg < 5 * fit.spread_deg < 1.0
    assert fit.used.all() and 0 < fit.spread_mm < 1.0


def test_bad_pairs_are_left_out_and_known_by_their_place():
    T, camera, mount = case(8, 12, 0.0005)
    mount[3] += [0.05, 0.0, 0.0]
    mount[7] += [0.0, 0.2, 0.0]
    fit = fit_pairs(camera, mount)
    assert np.flatnonzero(~fit.used).tolist() == [3, 7]
    assert fit.residual_m[3] == pytest.approx(0.05, abs=0.005)
    assert error_of(fit.T_mount_camera, T)[1] < 0.5


def test_too_few_pairs_points_on_a_line_and_chaos_are_refused():
    _, camera, mount = case(9, 8)
    with pytest.raises(DataError, match="3 pairs of points, at least 4"):
        fit_pairs(camera[:3], mount[:3])
    line = np.outer(np.linspace(0, 1, 8), [0.3, 0.2, 0.5])
    with pytest.raises(DataError, match="on a line"):
        fit_pairs(line, line)
    with pytest.raises(DataError, match="do not agree|fewer than 4 of 8 pairs agree"):
        fit_pairs(camera, 5 * np.random.default_rng(0).permutation(mount))
