# SPDX-License-Identifier: Apache-2.0
"""Pictures show what was found, for clips of any length, and leave the frames as they were."""

import numpy as np
import pytest

from mu0_core.trace_extract.pictures import (
    clusters_picture,
    geometry_picture,
    slots_picture,
    tracks_picture,
)
from mu0_core.trace_extract.records import Keypoints, SlotRecord, Tracks


@pytest.fixture
def tracks(still_camera):
    uv = np.array([[60.0, 60.0], [110.0, 120.0]], np.float32)
    world = still_camera.truth(0, uv).astype(np.float32)
    pixels = np.tile(uv[:, None], (1, 20, 1))
    pixels[1, :, 0] += 3 * np.arange(20)
    visible = np.ones((2, 20), bool)
    visible[0, 7:] = False
    return Tracks(
        np.where(visible[..., None], pixels, np.nan), world, visible,
        np.array([0, 1], np.int32), np.zeros(2, np.int32),
    )  # fmt: skip


def test_depth_and_camera_are_beside_the_colour(still_camera):
    before = still_camera.rgb.copy()
    picture = geometry_picture(still_camera.rgb, still_camera.geometry, width=160)
    assert picture.shape == (3 * 120 + 120, 320, 3) and picture.dtype == np.uint8
    assert picture[:360, 160:].std() > 5  # depth has two surfaces
    np.testing.assert_array_equal(still_camera.rgb, before)


def test_a_visible_track_is_drawn_where_it_is_and_a_lost_one_is_not(still_camera, tracks):
    blank = np.zeros_like(still_camera.rgb)
    picture = tracks_picture(blank, tracks, width=320)
    assert picture.shape == (240, 960, 3)
    last = picture[:, 640:]
    assert last[118:123, 160:175].any() and not last[50:70, 50:70].any()


def test_entities_have_colours_and_points(still_camera):
    maps = np.zeros((2, 4, 4), np.int16)
    maps[:, 2:] = 1
    keypoints = Keypoints(
        np.array([0, 10], np.int32), np.array([[40, 40], [200, 200]], np.float32),
        np.array([0, 1], np.int32), np.zeros(2, bool), np.array([0, 10], np.int32), maps,
    )  # fmt: skip
    picture = clusters_picture(np.zeros_like(still_camera.rgb), keypoints, width=320)
    assert picture.shape == (240, 640, 3)
    assert (picture[40, 40] == 255).all() and (picture[10, 10] != picture[230, 10]).any()


@pytest.mark.parametrize("steps", [1, 6])
def test_the_future_of_a_slot_is_a_line_from_its_point(still_camera, steps):
    future = np.full((1, 8, 3), -np.inf)
    future[0, :steps] = [[50 + 20 * k, 60, 1] for k in range(steps)]
    row = SlotRecord(4, future, future[:, :1], future, future[:, :1], np.ones(1, bool),
                     np.zeros(1, np.int32))  # fmt: skip
    picture = slots_picture(np.zeros_like(still_camera.rgb), [row], width=320)
    assert picture.shape == (240, 320, 3)
    assert picture[58:62, 45:160].any() == (steps > 1)
