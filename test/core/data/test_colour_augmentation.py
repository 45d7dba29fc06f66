# SPDX-License-Identifier: Apache-2.0
"""Each change does what it is called, keeps the range, and nothing else is random."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.data import augment
from mu0_core.errors import ConfigError, ShapeError

IMAGE = np.random.default_rng(0).random((9, 11, 3), np.float32)


@pytest.mark.parametrize(
    "change", [augment.change_brightness, augment.change_contrast, augment.change_saturation]
)
def test_factor_one_changes_nothing(change):
    np.testing.assert_allclose(change(IMAGE, 1.0), IMAGE, atol=1e-6)


def test_factor_zero_is_black_or_grey():
    assert np.all(augment.change_brightness(IMAGE, 0.0) == 0)
    assert np.ptp(augment.change_contrast(IMAGE, 0.0)) < 1e-6
    assert np.ptp(augment.change_saturation(IMAGE, 0.0), axis=-1).max() < 1e-6


@given(st.floats(-0.5, 0.5))
def test_hue_turns_by_the_given_part_of_the_circle(turns):
    turned = augment.turn_hue(IMAGE, turns)
    for before, after in zip(IMAGE.reshape(-1, 3)[:20], turned.reshape(-1, 3)[:20]):
        h, s, v = colorsys.rgb_to_hsv(*before.astype(float))
        np.testing.assert_allclose(after, colorsys.hsv_to_rgb((h + turns) % 1, s, v), atol=2e-3)


@given(st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_jitter_stays_in_range_and_repeats_with_its_seed(strength, seed):
    first, again = (
        augment.jitter_colours(IMAGE, strength, np.random.default_rng(seed)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32 and first.min() >= 0 and first.max() <= 1


def test_jitter_without_strength_changes_nothing():
    np.testing.assert_array_equal(
        augment.jitter_colours(IMAGE, 0.0, np.random.default_rng(0)), IMAGE
    )


def test_depth_noise_has_its_size_and_leaves_unknown_pixels():
    depth = np.full((100, 100), 2.0, np.float32)
    depth[:5], depth[5:10] = np.nan, 0.0
    noisy = augment.add_depth_noise(depth, 0.01, np.random.default_rng(0))
    assert np.isnan(noisy[:5]).all() and np.all(noisy[5:10] == 0)
    assert (noisy[10:] - 2).std() == pytest.approx(0.01, rel=0.05)


def test_bad_augmentation_is_named():
    with pytest.raises(ConfigError, match="jitter"):
        augment.AugmentSettings(jitter=2.0)
    with pytest.raises(ShapeError, match="uint8"):
        augment.jitter_colours(np.zeros((4, 4, 3), np.uint8), 0.3, np.random.default_rng(0))
