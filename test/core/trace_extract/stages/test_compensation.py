# SPDX-License-Identifier: Apache-2.0
"""A point moves if it moved itself, however the camera moved."""

import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.records import Tracks
from mu0_core.trace_extract.stages.compensation import (
    MovingSettings,
    displacement_px,
    seen_from,
)


def tracks_of(world):
    world = np.asarray(world, np.float32)
    visible = np.isfinite(world).all(axis=-1)
    count = len(world)
    return Tracks(world[..., :2], world, visible, np.zeros(count, int), np.zeros(count, int))


def test_displacement_is_the_way_across_the_picture_at_640_px(still_camera):
    geometry = still_camera.geometry
    path = np.zeros((2, 20, 3))
    path[..., 2] = 1.0
    path[0, :, 0] = np.linspace(0, 0.1, 20)  # 0.1 m at 1 m: 30 px of 320
    found = displacement_px(tracks_of(path), geometry, 0, MovingSettings())
    np.testing.assert_allclose(found, [60.0, 0.0], atol=1e-3)


def test_depth_counts_a_tenth_of_its_pixels(still_camera):
    path = np.zeros((1, 2, 3))
    path[0, :, 2] = [1.0, 1.1]
    found = displacement_px(tracks_of(path), still_camera.geometry, 0, MovingSettings())
    np.testing.assert_allclose(found, 2 * 0.1 * 300 * np.log(1.1), rtol=1e-4)


def test_the_camera_does_not_count(swaying_camera):
    clip = swaying_camera
    wall = np.tile([0.2, 0.1, 1.0], (1, 24, 1))
    found = displacement_px(tracks_of(wall), clip.geometry, 0, MovingSettings())
    assert found[0] == 0
    places = seen_from(wall, clip.T_world_camera[6], clip.geometry)
    assert np.abs(places[0, 0, :2] - seen_from(wall, np.eye(4), clip.geometry)[0, 0, :2]).max() > 5


def test_only_the_window_counts_and_points_seen_once_do_not_move(still_camera):
    path = np.full((2, 20, 3), np.nan)
    path[0] = [0, 0, 1]
    path[0, 15:, 0] = 0.2
    path[1, 4] = [0, 0, 1]
    settings = MovingSettings(window_frames=5)
    geometry = still_camera.geometry
    np.testing.assert_array_equal(displacement_px(tracks_of(path), geometry, 0, settings), [0, 0])
    assert displacement_px(tracks_of(path), geometry, 12, settings)[0] > 100


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="window_frames 1"):
        MovingSettings(window_frames=1)
