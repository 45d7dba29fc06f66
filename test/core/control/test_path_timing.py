# SPDX-License-Identifier: Apache-2.0
"""Laws of timing: limits hold at every instant, the path is kept, it ends at rest in its end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.control.joint_motion import JointMotion
from mu0_core.control.path_timing import RateLimits, time_path

LIMITS = RateLimits(np.full(3, 1.2), np.full(3, 5.0), np.full(3, 500.0))
SEEDS = st.integers(0, 100_000)


def waypoints(seed: int, count: int | None = None, size: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    count = count or int(rng.integers(2, 40))
    return np.cumsum(rng.normal(0, size, (count, 3)), axis=0)


def timed(points, **options):
    options = {"max_stretch": 1e6, **options}
    return time_path(points, 0.1, 0.2, LIMITS, 0.02, **options)[:2]


def dense(motion):
    return motion.sample(np.arange(0, motion.end_s, 0.002))


@given(SEEDS, st.booleans())
@settings(max_examples=50, deadline=None)
def test_limits_hold_at_every_instant(seed, smoothed):
    _, motion = timed(waypoints(seed), smoothed=smoothed)
    _, velocity, acceleration = dense(motion)
    assert np.all(np.abs(velocity) <= LIMITS.velocity)
    assert np.all(np.abs(acceleration) <= LIMITS.acceleration)


@given(SEEDS, st.booleans())
@settings(max_examples=50, deadline=None)
def test_starts_and_ends_at_rest_in_the_end_points(seed, smoothed):
    points = waypoints(seed)
    path, motion = timed(points, smoothed=smoothed)
    np.testing.assert_allclose(motion.positions[[0, -1]], points[[0, -1]], atol=1e-9)
    assert np.abs(motion.velocities[0]).max() < 1e-9 and not motion.velocities[-1].any()
    assert motion.end_s == pytest.approx(path.duration_s)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_slowing_keeps_the_path(seed):
    points = waypoints(seed, size=0.3)
    path, motion = timed(points)
    at_steps = motion.sample(path.times_of_steps(np.arange(len(points))))[0]
    largest = np.abs(np.diff(points, axis=0)).max()
    np.testing.assert_allclose(at_steps, points, atol=0.02 * (1 + largest))


@pytest.mark.parametrize("smoothed", [False, True])
@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_from_rest_velocity_and_acceleration_are_continuous(smoothed, seed):
    _, motion = timed(waypoints(seed), smoothed=smoothed)
    _, velocity, acceleration = motion.sample(np.arange(0, motion.end_s, 1e-3))
    assert np.abs(np.diff(velocity, axis=0)).max() <= LIMITS.acceleration[0] * 1.1e-3
    assert np.abs(np.diff(acceleration, axis=0)).max() <= LIMITS.jerk[0] * 1.1e-3


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_smoothed_path_stays_between_neighbours(seed):
    points = waypoints(seed)
    position = dense(timed(points, smoothed=True)[1])[0]
    assert np.all(position <= points.max(axis=0) + 1e-3)
    assert np.all(position >= points.min(axis=0) - 1e-3)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_goes_on_from_a_start_in_motion_wherever_the_controller_is(seed):
    rng = np.random.default_rng(seed)
    points = np.linspace(np.zeros(3), rng.uniform(-0.4, 0.4, 3), 9)
    speed = rng.uniform(-0.5, 0.5, 3)
    bend = rng.uniform(-2.0, 2.0, 3)
    starts = [
        (speed * dt + bend * dt**2 / 2, speed + bend * dt, bend) for dt in (0.0, -0.05, 0.05)
    ]
    path, motion, heads = time_path(points, 0.1, 0.2, LIMITS, 0.02, 1e6, starts)
    if np.isinf(path.stretch):
        return
    assert not motion.velocities[-1].any()
    for k, start in enumerate(starts):
        columns = [
            np.concatenate(
                [getattr(heads, name)[:1, 3 * k : 3 * k + 3], getattr(motion, name)[1:]]
            )
            for name in ("positions", "velocities", "accelerations")
        ]
        commanded = JointMotion(motion.times_s, *columns)
        for ours, theirs in zip(commanded.sample(0.0), start):
            np.testing.assert_allclose(ours, theirs, atol=1e-9)
        _, velocity, acceleration = commanded.sample(np.arange(0, motion.end_s, 1e-3))
        assert np.all(np.abs(velocity) <= LIMITS.velocity)
        assert np.all(np.abs(acceleration) <= LIMITS.acceleration)
        assert np.abs(np.diff(acceleration, axis=0)).max() <= LIMITS.jerk[0] * 1.001e-3


def test_goes_on_without_slowing_when_nothing_changes():
    points = np.linspace(np.zeros(3), [0.3, -0.2, 0.1], 9)
    speed = (points[1] - points[0]) / 0.1
    starts = [(speed * dt, speed, 0 * speed) for dt in (0.0, -0.05, 0.05)]
    assert timed(points, starts=starts)[0].stretch < 1.3


def test_a_typical_chunk_is_hardly_slowed():
    points = np.linspace(np.zeros(3), [0.3, -0.2, 0.1], 9)  # 8 steps of 0.1 s
    path, _ = timed(points)
    assert path.stretch == 1.0
    assert path.duration_s < 1.3 * 0.8


def test_what_cannot_be_kept_is_said():
    path, _ = timed(np.array([[0.0, 0, 0], [5.0, 0, 0]]), max_stretch=2.0)
    assert np.isinf(path.stretch)


def test_one_step_is_a_motion():
    _, motion = timed(np.array([[0.0, 0, 0], [0.05, 0, 0]]))
    np.testing.assert_allclose(motion.positions[-1], [0.05, 0, 0])


def test_standing_still_takes_the_nominal_time():
    path, motion = timed(np.zeros((9, 3)))
    assert path.stretch == 1.0 and not motion.bounds().velocity.any()
