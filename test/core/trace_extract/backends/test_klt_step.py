# SPDX-License-Identifier: Apache-2.0
"""One step finds a point where it went, where it stayed, or not at all."""

import cv2
import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.backends.klt_step import Shot, StepSettings, depth_near, step


def shot(clip, frame, depth=None, grey=None):
    grey = cv2.cvtColor(clip.rgb[frame], cv2.COLOR_RGB2GRAY) if grey is None else grey
    depth = clip.depth_m[frame] if depth is None else depth
    return Shot(grey, depth, clip.T_world_camera[frame], clip.intrinsics)


def points(clip, frame):
    """Return pixels on the square (first three) and on the wall, and where they are."""
    inside = np.argwhere(clip.on_square[frame])
    centre = inside.mean(axis=0)[::-1]
    uv = np.concatenate([centre + [[-15, -12], [14, 3], [-2, 18]], [[40, 60], [280, 50]]])
    return uv, clip.truth(frame, uv)


@pytest.mark.parametrize("name", ["still_camera", "swaying_camera"])
def test_points_are_found_within_millimetres(name, request):
    clip = request.getfixturevalue(name)
    uv, truth = points(clip, 4)
    new_uv, world, found = step(shot(clip, 4), shot(clip, 5), uv, truth[:, 4], StepSettings())
    assert found.all()
    assert np.linalg.norm(world - truth[:, 5], axis=1).max() < 0.008
    assert np.isfinite(new_uv).all()


def test_what_stays_stays_exactly(still_camera):
    clip = still_camera
    uv, truth = points(clip, 4)
    noisy = clip.depth_m[5] + 0.002 * np.random.default_rng(0).standard_normal((240, 320))
    _, world, found = step(
        shot(clip, 4), shot(clip, 5, noisy.astype(np.float32)), uv, truth[:, 4], StepSettings()
    )
    assert found[3:].all()
    np.testing.assert_array_equal(world[3:], truth[3:, 4])


def test_a_blank_wall_is_followed_by_its_depth(still_camera):
    clip = still_camera
    blank = np.full((240, 320), 100, np.uint8)
    uv, truth = points(clip, 4)
    both = [shot(clip, k, grey=blank) for k in (4, 5)]
    _, world, found = step(*both, uv[3:], truth[3:, 4], StepSettings())
    assert found.all()
    np.testing.assert_array_equal(world, truth[3:, 4])


def test_a_point_that_is_covered_is_not_found(still_camera):
    clip = still_camera
    uv, truth = points(clip, 4)
    depth, grey = clip.depth_m[5].copy(), cv2.cvtColor(clip.rgb[5], cv2.COLOR_RGB2GRAY)
    depth[40:80, 20:60], grey[40:80, 20:60] = 0.4, 255
    new_uv, world, found = step(
        shot(clip, 4), shot(clip, 5, depth, grey), uv, truth[:, 4], StepSettings()
    )
    assert not found[3] and np.isnan(world[3]).all() and np.isnan(new_uv[3]).all()
    assert found[[0, 1, 2, 4]].all()


def test_no_points_are_no_trouble(still_camera):
    uv, world, found = step(
        shot(still_camera, 0), shot(still_camera, 1), np.zeros((0, 2)), np.zeros((0, 3)),
        StepSettings(),
    )  # fmt: skip
    assert len(uv) == len(world) == len(found) == 0


def test_depth_at_an_edge_is_that_of_the_expected_surface():
    depth = np.full((20, 20), 1.0, np.float32)
    depth[:, 10:] = 0.6
    uv = np.array([[9.0, 5.0], [9.0, 5.0], [9.0, 5.0]])
    np.testing.assert_allclose(
        depth_near(depth, uv, np.array([1.02, 0.58, 0.8]), 0.1), [1.0, 0.6, np.nan]
    )


@pytest.mark.parametrize("wrong", [{"window_px": 3}, {"levels": -1}, {"max_step_m": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError):
        StepSettings(**wrong)
