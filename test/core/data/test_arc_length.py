# SPDX-License-Identifier: Apache-2.0
"""Tracks at equal path length: the clock of the training traces, but with gaps and an end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.data.arc_length import MAX_STEPS, resample_tracks
from mu0_core.errors import ConfigError, DataError, ShapeError
from mu0_core.training.retarget import RetargetSettings, retarget

WIDTH, HEIGHT = 200, 100
PIXELS = np.array([WIDTH, HEIGHT, 1.0])


def resample(shares, valid=None, **settings):
    """Tracks in image widths, image heights and metres."""
    valid = np.ones(shares.shape[:2], bool) if valid is None else valid
    return resample_tracks(shares * PIXELS, valid, WIDTH, HEIGHT, **settings)


def line(lengths):
    """Return one track along x at the given path lengths."""
    return np.asarray(lengths)[None, :, None] * np.array([1.0, 0, 0]) + np.array([0, 0.5, 1.0])


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 999))
def test_without_gaps_it_is_the_retargeting_of_the_training_data(count, samples, seed):
    rng = np.random.default_rng(seed)
    tracks = np.cumsum(rng.uniform(-0.05, 0.05, (count, samples, 3)), axis=1)
    expected = retarget(tracks.transpose(1, 0, 2), RetargetSettings(steps=MAX_STEPS - 1))
    found = resample(tracks)
    assert found.num_steps == expected.num_steps + 1
    assert found.valid.sum(axis=1).tolist() == [found.num_steps] * count
    np.testing.assert_allclose(
        found.points[:, : found.num_steps] / PIXELS,
        expected.points[: found.num_steps].transpose(1, 0, 2),
        atol=1e-9,
    )


def test_columns_are_equal_lengths_and_end_with_the_motion():
    found = resample(line([0, 0.01, 0.12, 0.22]))
    assert found.num_steps == 5 and found.valid[0].sum() == 5
    np.testing.assert_allclose(found.points[0, :5, 0] / WIDTH, [0, 0.05, 0.1, 0.15, 0.2])
    assert np.all(np.isneginf(found.points[0, 5:])) and np.isnan(found.times[5:]).all()
    np.testing.assert_allclose(found.times[:3], [0, 1 + 4 / 11, 1 + 9 / 11])


def test_the_clock_is_that_of_the_fastest_track():
    tracks = np.concatenate([line([0, 0.1, 0.2]), line([0, 0.05, 0.1])])
    np.testing.assert_allclose(resample(tracks).points[1, :5, 0] / WIDTH, np.arange(5) * 0.025)


def test_a_column_is_valid_where_its_neighbours_are():
    tracks = np.concatenate([line([0, 0.1, 0.2, 0.3])] * 2)
    valid = np.array([[True] * 4, [True, True, False, True]])
    tracks[1, 2] = np.nan
    found = resample(tracks, valid)
    assert found.valid[0, :7].all()
    assert found.valid[1, :7].tolist() == [True, True, True, False, False, False, True]
    np.testing.assert_array_equal(np.isfinite(found.points).all(axis=-1), found.valid)


def test_a_segment_that_no_track_spans_has_no_length():
    valid = np.array([[True, True, False, True, True]])
    assert resample(line([0, 0.1, 0.2, 0.3, 0.4]), valid).num_steps == 5


def test_a_pause_at_the_start_stays_and_later_ones_vanish():
    found = resample(line([0, 0, 0, 0.1, 0.1, 0.2]))
    np.testing.assert_allclose(found.times[:5], [0, 2.5, 4, 4.5, 5])


def test_a_long_motion_is_cut():
    found = resample(line([0, 9.0]), max_steps=7)
    assert found.num_steps == 7 and found.points.shape == (1, 7, 3)


def test_bad_tracks_are_named():
    good, marked = line([0, 1.0]), np.ones((1, 2), bool)
    for tracks, valid in (
        (good[0], marked),
        (good[..., :2], marked),
        (good, marked[:, :1]),
        (good[:, :0], marked[:, :0]),
    ):
        with pytest.raises(ShapeError, match="expected"):
            resample_tracks(tracks, valid, WIDTH, HEIGHT)
    with pytest.raises(DataError, match="marked valid"):
        resample(good * np.nan)
    for settings in ({"step_length": 0.0}, {"max_steps": 0}):
        with pytest.raises(ConfigError, match="must be positive"):
            resample(good, **settings)
