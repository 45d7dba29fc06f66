# SPDX-License-Identifier: Apache-2.0
"""Splines, waypoints and increments: targets rendered again are the trace, as far as they can."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.errors import ConfigError, ShapeError
from mu0_core.spline.curve import CURVES, INCREMENT, least_steps, rendering, targets

H = 32
COUNTS = {"bezier": 10, "uniform": 10, "waypoints": 8, "increments": H}


def smooth_steps(points=5, seed=0):
    rng = np.random.default_rng(seed)
    phase = np.arange(1, H + 1)[:, None] / H
    return phase * rng.normal(0, 0.4, (points, 1, 3)) + phase**2 * rng.normal(
        0, 0.2, (points, 1, 3)
    )


@pytest.mark.parametrize("curve", CURVES)
def test_a_smooth_trace_survives(curve):
    steps, valid = smooth_steps(), np.ones((5, H), bool)
    control, fitted = targets(curve, steps, valid, COUNTS[curve], clip=None)
    assert control.shape == (5, COUNTS[curve], 3) and fitted.all()
    traces = rendering(curve, COUNTS[curve], H) @ control
    np.testing.assert_allclose(traces[:, 0], 0, atol=0.03)  # splines: only nearly
    np.testing.assert_allclose(traces[:, 1:], steps, atol=0.03)


@pytest.mark.parametrize("curve", ["waypoints", "increments"])
def test_as_many_vectors_as_steps_are_exact(curve):
    steps = np.random.default_rng(1).normal(0, 0.3, (4, H, 3))
    control, _ = targets(curve, steps, np.ones((4, H), bool), H, clip=None)
    np.testing.assert_allclose((rendering(curve, H, H) @ control)[:, 1:], steps, atol=1e-12)


def test_few_waypoints_are_positions_with_lines_between_them():
    steps = np.random.default_rng(2).normal(0, 0.3, (1, H, 3))
    control, _ = targets("waypoints", steps, np.ones((1, H), bool), 8)
    np.testing.assert_array_equal(control, steps[:, 3::4])
    drawn = rendering("waypoints", 8, H) @ control
    np.testing.assert_allclose(drawn[:, 4::4], control)
    np.testing.assert_allclose(drawn[:, 6], (control[:, 0] + control[:, 1]) / 2)
    np.testing.assert_allclose(drawn[:, 2], control[:, 0] / 2)  # from the anchor


def test_increments_are_the_way_of_one_step():
    steps = np.cumsum(np.full((1, H, 3), 0.02), axis=1)
    control, _ = targets("increments", steps, np.ones((1, H), bool), H)
    np.testing.assert_allclose(control, 0.02 / INCREMENT)


@pytest.mark.parametrize("curve", ["waypoints", "increments"])
def test_a_trace_rests_where_a_step_is_missing(curve):
    steps, valid = smooth_steps(2), np.ones((2, H), bool)
    valid[0, 20:] = False
    valid[1, 4] = False
    steps[~valid] = 99.0
    control, fitted = targets(curve, steps, valid, H, clip=None)
    traces = (rendering(curve, H, H) @ control)[:, 1:]
    np.testing.assert_allclose(traces[0, 20:], np.repeat(steps[:1, 19], 12, axis=0), atol=1e-9)
    np.testing.assert_allclose(traces[1, 4], steps[1, 3], atol=1e-9)
    np.testing.assert_allclose(traces[1, 5], steps[1, 5], atol=1e-9)
    assert fitted.all()


@pytest.mark.parametrize("curve", CURVES)
def test_short_traces_have_no_target(curve):
    steps, valid = smooth_steps(2), np.zeros((2, H), bool)
    least = least_steps(curve, COUNTS[curve])
    valid[0, : least - 1] = valid[1, :least] = True
    control, fitted = targets(curve, steps, valid, COUNTS[curve])
    assert fitted.tolist() == [False, True] and least == 10
    assert not control[0].any() and control[1].any()


def test_waypoints_are_clipped_like_control_points():
    steps = 4 * np.ones((1, H, 3))
    control, _ = targets("waypoints", steps, np.ones((1, H), bool), 8, clip=1.5)
    np.testing.assert_array_equal(control, 1.5)


@pytest.mark.parametrize(
    ("curve", "count", "message"),
    [
        ("lines", 4, "'lines': expected one of"),
        ("waypoints", 5, "5 waypoints do not divide 32 steps"),
        ("increments", 8, "8 increments: 32 steps need as many"),
    ],
)
def test_what_does_not_fit_is_refused(curve, count, message):
    with pytest.raises(ConfigError, match=message):
        rendering(curve, count, H)


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ShapeError, match="disagree"):
        targets("waypoints", np.zeros((2, H, 3)), np.ones((3, H), bool), H)
