# SPDX-License-Identifier: Apache-2.0
"""Two frames are aligned to where the camera really was, even when most features move."""

import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.geometry import se3
from mu0_core.trace_extract.stages.camera_motion import angle_rad
from mu0_core.trace_extract.stages.frame_alignment import align
from mu0_core.trace_extract.stages.frame_view import (
    AlignmentSettings,
    make_view,
    sample_image,
    smooth_depth,
)


def view(clip, frame):
    settings = AlignmentSettings()
    return make_view(clip.rgb[frame], clip.depth_m[frame], clip.intrinsics, settings)


def test_the_motion_between_two_frames_is_found(swaying_camera):
    c, settings = swaying_camera, AlignmentSettings()
    found = align(view(c, 6), view(c, 0), settings)
    true = se3.inverse(c.T_world_camera[0]) @ c.T_world_camera[6]
    error = se3.inverse(true) @ found.T_target_source
    assert np.linalg.norm(error[:3, 3]) < 0.003 and angle_rad(error[None])[0] < 0.004
    assert found.holds(settings) and found.num_features > 20


def test_a_flat_wall_without_features_still_agrees_with_no_motion(still_camera):
    c, settings = still_camera, AlignmentSettings()
    blank = np.full_like(c.rgb[0], 128)
    views = [make_view(blank, c.depth_m[k], c.intrinsics, settings) for k in (0, 3)]
    found = align(*views, settings)
    assert found.num_features == 0 and found.holds(settings)
    assert np.linalg.norm(found.T_target_source[:3, 3]) < 0.01


def test_frames_of_different_places_do_not_hold(still_camera):
    c, settings = still_camera, AlignmentSettings()
    other = make_view(np.zeros_like(c.rgb[0]), c.depth_m[0] + 2.0, c.intrinsics, settings)
    assert not align(view(c, 0), other, settings).holds(settings)


def test_depth_is_unknown_at_edges_holes_and_outside():
    depth = np.full((20, 20), 1.0, np.float32)
    depth[:, 10:], depth[15, 4] = 1.2, np.nan
    uv = np.array([[3, 3], [9, 5], [4, 14], [-1, 3], [19, 3], [np.nan, 2]], float)
    np.testing.assert_array_equal(
        np.isfinite(smooth_depth(depth, uv)), [True, False, False, False, False, False]
    )


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"max_ratio": 1.5}, {"depth_noise": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="positive"):
        AlignmentSettings(**wrong)


def test_more_places_than_an_opencv_row_holds_are_sampled_like_few():
    rng = np.random.default_rng(1)
    image = rng.normal(size=(30, 40)).astype(np.float32)
    uv = rng.uniform(0, [39, 29], size=(70_001, 2))
    few = np.concatenate([sample_image(image, part) for part in np.array_split(uv, 50)])
    np.testing.assert_array_equal(sample_image(image, uv), few)
    assert sample_image(image, uv[:0]).shape == (0,)
