# SPDX-License-Identifier: Apache-2.0
"""Speed and acceleration follow the calculus, and a gap of a track is never filtered over."""

import numpy as np
import pytest
from scipy.signal import savgol_filter

from mu0_core.trace_extract.stages.motion_signal import speed_and_acceleration

FRAMES = np.arange(60.0)


def along(positions, direction=(1.0, 2.0, -2.0)):
    """Return one track (1, T, 3) whose path length from its start is ``positions``."""
    return (positions[:, None] * np.array(direction) / 3)[None]


def seen(track):
    return np.ones(track.shape[:2], bool)


def test_constant_acceleration_is_found_exactly():
    track = along(0.5 * 0.02 * FRAMES**2 + 0.1 * FRAMES)
    speed, acceleration = speed_and_acceleration(track, seen(track), 11, 2)
    np.testing.assert_allclose(speed, 0.1 + 0.02 * FRAMES, atol=1e-9)
    np.testing.assert_allclose(acceleration, 0.02, atol=1e-9)


def test_slowing_down_is_below_zero_whatever_the_direction():
    for sign in (1, -1):
        track = along(sign * (3 * FRAMES - 0.5 * 0.02 * FRAMES**2))
        _, acceleration = speed_and_acceleration(track, seen(track), 11, 2)
        np.testing.assert_allclose(acceleration, -0.02, atol=1e-9)


def test_points_are_averaged_over_those_that_are_seen():
    tracks = np.concatenate([along(0.1 * FRAMES), along(0.3 * FRAMES)])
    valid = seen(tracks)
    valid[1, 30:] = False
    tracks[~valid] = np.nan
    speed, _ = speed_and_acceleration(np.where(valid[..., None], tracks, 7.0), valid, 11, 2)
    np.testing.assert_allclose(speed, np.where(FRAMES < 30, 0.2, 0.1))


def test_a_jump_inside_a_gap_is_no_motion():
    track = along(0.1 * FRAMES)
    track[:, 30:] += 50.0
    valid = seen(track)
    valid[:, 28:32] = False
    speed, _ = speed_and_acceleration(track, valid, 11, 2)
    np.testing.assert_allclose(speed[valid[0]], 0.1)
    assert np.isnan(speed[~valid[0]]).all()


def test_runs_shorter_than_the_window_do_not_count():
    track = np.concatenate([along(0.1 * FRAMES), along(0.9 * FRAMES)])
    valid = seen(track)
    valid[1, ::8] = False  # runs of seven
    speed, _ = speed_and_acceleration(track, valid, 11, 2)
    np.testing.assert_allclose(speed, 0.1)


@pytest.mark.parametrize(
    "frames, known", [(1, False), (2, False), (3, True), (4, True), (10, True)]
)
def test_a_short_clip_gets_the_longest_window_that_fits(frames, known):
    track = along(0.1 * FRAMES[:frames])
    speed, acceleration = speed_and_acceleration(track, seen(track), 11, 2)
    assert speed.shape == acceleration.shape == (frames,)
    assert np.isfinite(speed).all() == known
    if known:
        np.testing.assert_allclose(speed, 0.1)


def test_noise_of_a_pixel_hardly_moves_a_resting_cloud():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1 / 640, (50, 60, 3))
    speed, acceleration = speed_and_acceleration(noise, np.ones((50, 60), bool), 11, 2)
    assert speed.max() < 1e-3  # slower than what counts as rest, even at the ends
    assert speed[5:-5].max() < 3e-4 and np.abs(acceleration[5:-5]).max() < 1e-4


def test_without_gaps_it_is_the_filter_of_scipy():
    track = np.random.default_rng(1).normal(size=(1, 40, 3))
    speed, acceleration = speed_and_acceleration(track, seen(track), 11, 2)
    expected = np.linalg.norm(savgol_filter(track[0], 11, 2, deriv=1, axis=0), axis=1)
    np.testing.assert_allclose(speed, expected, rtol=1e-9)
    np.testing.assert_allclose(acceleration, np.gradient(expected), atol=1e-12)


def test_a_sudden_stop_at_the_end_is_no_new_departure():
    rate = np.interp(FRAMES, [0, 52, 59], [1.0, 1.0, 0.0])
    track = along(np.cumsum(rate))
    _, acceleration = speed_and_acceleration(track, seen(track), 11, 2)
    assert acceleration.max() < 0.2 * -acceleration.min()
