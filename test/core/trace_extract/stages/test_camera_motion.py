# SPDX-License-Identifier: Apache-2.0
"""The camera is found again, whatever moves before it; a camera at rest has one pose."""

import numpy as np
import pytest

from mu0_core.errors import ConfigError, DataError
from mu0_core.geometry import se3
from mu0_core.trace_extract.stages.camera_motion import (
    CameraMotionSettings,
    anchor_frames,
    angle_rad,
    camera_motion,
    mean_pose,
)


def test_a_swaying_camera_is_found_within_a_few_millimetres(swaying_camera):
    c = swaying_camera
    found = camera_motion(c.rgb, c.depth_m, c.intrinsics)
    error = se3.inverse(c.T_world_camera) @ found.T_world_camera
    assert found.source == "rgbd_odometry"
    assert np.linalg.norm(error[:, :3, 3], axis=1).max() < 0.004
    assert np.degrees(angle_rad(error)).max() < 0.25
    np.testing.assert_array_equal(found.T_world_camera[0], np.eye(4))
    assert np.all(found.rmse_m[1:] > 0)


def test_a_camera_at_rest_gets_exactly_one_pose_though_the_square_moves(still_camera):
    c = still_camera
    found = camera_motion(c.rgb, c.depth_m, c.intrinsics)
    assert found.source == "static"
    np.testing.assert_array_equal(found.T_world_camera, np.tile(np.eye(4), (20, 1, 1)))


def test_a_cut_in_the_film_loses_the_camera_and_says_where(still_camera, swaying_camera):
    rgb = np.concatenate([still_camera.rgb[:8], np.zeros_like(swaying_camera.rgb[:8])])
    depth = np.concatenate([still_camera.depth_m[:8], 3.0 + swaying_camera.depth_m[:8]])
    with pytest.raises(DataError, match="camera lost at frame"):
        camera_motion(rgb, depth, still_camera.intrinsics)


def test_a_camera_that_is_said_to_stand_still_is_not_estimated(swaying_camera):
    c = swaying_camera
    found = camera_motion(c.rgb, c.depth_m, c.intrinsics, CameraMotionSettings(is_static=True))
    np.testing.assert_array_equal(found.T_world_camera, np.tile(np.eye(4), (24, 1, 1)))
    assert found.source == "static" and not found.rmse_m.any()


def test_one_frame_has_one_pose(still_camera):
    c = still_camera
    found = camera_motion(c.rgb[:1], c.depth_m[:1], c.intrinsics)
    np.testing.assert_array_equal(found.T_world_camera, np.eye(4)[None])


def test_anchors_reach_from_the_first_to_the_last_frame_and_are_never_too_many():
    settings = CameraMotionSettings(max_anchors=60)
    for frames in (2, 5, 11, 300, 5000):
        anchors = anchor_frames(frames, settings)
        assert anchors[0] == 0 and anchors[-1] == frames - 1 and len(anchors) <= 60
        assert np.all(np.diff(anchors) > 0)


def test_a_mean_of_poses_leaves_out_the_one_that_is_far_off():
    poses = np.tile(np.eye(4), (6, 1, 1))
    poses[:, 0, 3] = [0.0, 0.001, -0.001, 0.002, 0.0, 0.5]
    assert abs(mean_pose(poses, np.ones(6))[0, 3]) < 0.002


@pytest.mark.parametrize("wrong", [{"max_anchors": 1}, {"anchor_spacing": 0}, {"loops": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} {next(iter(wrong.values()))}"):
        CameraMotionSettings(**wrong)
