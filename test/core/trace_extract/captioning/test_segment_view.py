# SPDX-License-Identifier: Apache-2.0
"""A captioner sees the right frames, and a picture that is lit where something moves."""

import numpy as np
import pytest

from mu0_core.errors import DataError, ShapeError
from mu0_core.trace_extract.captioning.segment_view import motion_picture, shown_frames

RGB = np.full((120, 160, 3), 200, np.uint8)


def lit(picture):
    return picture[..., 0] == 200


@pytest.mark.parametrize(
    "first, last, middle, frames",
    [(3, 9, False, [3, 9]), (3, 9, True, [3, 6, 9]), (4, 4, False, [4]), (4, 5, True, [4, 5])],
)
def test_first_and_last_frame_are_shown_each_once(first, last, middle, frames):
    assert shown_frames(first, last, middle) == frames


def test_the_way_of_a_point_is_lit_and_the_rest_is_dark():
    path = np.stack([np.linspace(20, 140, 10), np.full(10, 60.0)], axis=1)[None]
    light = lit(motion_picture(RGB, path, np.ones((1, 10), bool)))
    assert light[60, 20:141].all() and not light[:40].any() and not light[80:].any()


def test_points_that_are_not_seen_light_nothing():
    path = np.full((2, 10, 2), np.nan)
    valid = np.zeros((2, 10), bool)
    path[0, 4], valid[0, 4] = (30, 30), True  # a point seen once is a spot
    light = lit(motion_picture(RGB, path, valid))
    assert light[30, 30] and 20 < light.sum() < 120


def test_points_far_outside_do_no_harm():
    path = np.array([[[1e9, -1e9], [80.0, 60.0]]])
    picture = motion_picture(RGB, path, np.ones((1, 2), bool))
    assert picture.shape == RGB.shape and lit(picture)[60, 80]


def test_the_image_itself_is_left_alone():
    before = RGB.copy()
    motion_picture(RGB, np.full((1, 1, 2), 50.0), np.ones((1, 1), bool))
    np.testing.assert_array_equal(RGB, before)


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match=r"expected \(h, w, 3\)"):
        motion_picture(RGB, np.zeros((2, 5, 2)), np.ones((2, 4), bool))
    with pytest.raises(DataError, match="mark it as not valid"):
        motion_picture(RGB, np.full((1, 2, 2), np.nan), np.ones((1, 2), bool))
