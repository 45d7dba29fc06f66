# SPDX-License-Identifier: Apache-2.0
"""A patch is known again near its place, in other light, and nothing else is."""

import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.backends.patch_memory import PatchMemory, PatchSettings

ROWS = np.array([4])


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(40, 160, (80, 100), dtype=np.uint8)


def memory(picture, uv=(50.0, 40.0)):
    made = PatchMemory(PatchSettings())
    made.learn(ROWS, picture, np.array([uv]))
    return made


def test_a_shifted_and_brighter_picture_shows_the_point_again(picture):
    moved = np.roll(picture, (3, -5), axis=(0, 1)) + np.uint8(30)
    uv, alike = memory(picture).find(ROWS, moved, np.array([[50.0, 40.0]]))
    assert alike.all()
    np.testing.assert_array_equal(uv, [[45.0, 43.0]])


def test_another_picture_does_not(picture):
    other = np.random.default_rng(1).integers(40, 160, (80, 100), dtype=np.uint8)
    assert not memory(picture).find(ROWS, other, np.array([[50.0, 40.0]]))[1].any()


def test_a_flat_patch_cannot_be_known_again(picture):
    flat = np.full_like(picture, 90)
    assert not memory(flat).find(ROWS, flat, np.array([[50.0, 40.0]]))[1].any()


@pytest.mark.parametrize("place", [(np.nan, 4.0), (2.0, 40.0), (99.0, 79.0), (500.0, 40.0)])
def test_places_at_the_border_or_nowhere_find_nothing(picture, place):
    assert not memory(picture).find(ROWS, picture, np.array([place]))[1].any()


def test_a_point_that_was_never_learned_is_not_found(picture):
    assert not memory(picture).find(np.array([9]), picture, np.array([[50.0, 40.0]]))[1].any()


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="radius_px 1"):
        PatchSettings(radius_px=1)
