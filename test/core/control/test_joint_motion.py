# SPDX-License-Identifier: Apache-2.0
"""Laws of piecewise motion: it meets its points, derivatives are derivatives, bounds bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.control.joint_motion import JointMotion
from mu0_core.errors import ShapeError

ORDERS = (0, 1, 2)


def motion(seed: int, order: int, joints: int = 3) -> JointMotion:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.01, 0.5, rng.integers(2, 9)))
    columns = [rng.normal(0, 1, (len(times), joints)) for _ in range(order + 1)]
    return JointMotion(times, *columns)


def inner_times(m: JointMotion) -> np.ndarray:
    """Times inside the pieces, away from the breaks."""
    share = np.linspace(0.02, 0.98, 40)
    return (m.times_s[:-1, None] + np.diff(m.times_s)[:, None] * share).ravel()


@given(st.integers(0, 10_000), st.sampled_from(ORDERS))
@settings(max_examples=60, deadline=None)
def test_bounds_enclose_every_instant(seed, order):
    m = motion(seed, order)
    position, velocity, acceleration = m.sample(inner_times(m))
    b = m.bounds()
    assert np.all(position >= b.lowest - 1e-9) and np.all(position <= b.highest + 1e-9)
    assert np.all(np.abs(velocity) <= b.velocity + 1e-9)
    assert np.all(np.abs(acceleration) <= b.acceleration + 1e-6)


@given(st.integers(0, 10_000), st.sampled_from(ORDERS))
@settings(max_examples=40, deadline=None)
def test_derivatives_agree_with_finite_differences(seed, order):
    m, h = motion(seed, order), 1e-5
    t = inner_times(m)
    before, here, after = m.sample(t - h), m.sample(t), m.sample(t + h)
    scale = 1 + np.abs(here[2]).max()
    np.testing.assert_allclose((after[0] - before[0]) / (2 * h), here[1], atol=1e-4 * scale)
    np.testing.assert_allclose((after[1] - before[1]) / (2 * h), here[2], atol=1e-3 * scale)


@pytest.mark.parametrize("order", ORDERS)
def test_meets_its_points_in_every_derivative_given(order):
    m = motion(3, order)
    got = m.sample(m.times_s[:-1])
    for sampled, given_column in zip(got, (m.positions, m.velocities, m.accelerations)):
        if given_column is not None:
            np.testing.assert_allclose(sampled, given_column[:-1], atol=1e-9)


def test_stands_still_before_and_after():
    m = motion(1, 2)
    position, velocity, acceleration = m.sample(np.array([m.times_s[0] - 1, m.end_s, m.end_s + 1]))
    np.testing.assert_array_equal(position, m.positions[[0, -1, -1]])
    assert not velocity.any() and not acceleration.any()


def test_bounds_of_short_pieces_are_tight():
    times = np.arange(0, 2, 0.02)
    m = JointMotion(times, np.sin(times)[:, None], np.cos(times)[:, None], -np.sin(times)[:, None])
    assert m.bounds().velocity[0] == pytest.approx(1.0, abs=1e-4)
    assert m.bounds().acceleration[0] == pytest.approx(1.0, abs=1e-2)


def test_trajectory_leaves_the_first_point_out():
    m = motion(5, 1)
    trajectory = m.trajectory(("a", "b", "c"))
    np.testing.assert_array_equal(trajectory.times_s, m.times_s[1:])
    np.testing.assert_array_equal(trajectory.velocities, m.velocities[1:])
    assert trajectory.accelerations is None


def test_one_point_is_no_motion():
    with pytest.raises(ShapeError, match="K >= 2"):
        JointMotion(np.zeros(1), np.zeros((1, 2)))
