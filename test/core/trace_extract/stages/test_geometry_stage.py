# SPDX-License-Identifier: Apache-2.0
"""Depth is measured or asked of a model, never invented; what is missing is named."""

from dataclasses import replace

import numpy as np
import pytest

from mu0_core.errors import SourceError
from mu0_core.trace_extract.records import Clip
from mu0_core.trace_extract.stages.camera_motion import CameraMotionSettings
from mu0_core.trace_extract.stages.geometry import clip_camera, clip_depth, clip_intrinsics


class FlatDepth:
    name = "flat"

    def depth_m(self, rgb, intrinsics):
        return np.full(rgb.shape[:2], 1.5, np.float32)


@pytest.fixture
def clip(still_camera):
    c = still_camera
    return Clip("clip", "clip.mp4", "0" * 64, c.rgb, c.depth_m, c.intrinsics, np.arange(20) / 10)


def test_measured_depth_goes_before_a_model(clip):
    assert clip_depth(clip, FlatDepth()).source == "sensor"
    assert clip_depth(clip, None).depth_m is clip.depth_m


def test_a_model_gives_depth_to_a_clip_without(clip):
    found = clip_depth(replace(clip, depth_m=None), FlatDepth())
    assert found.source == "flat" and np.all(found.depth_m == 1.5)


def test_no_depth_at_all_names_what_to_do(clip):
    with pytest.raises(SourceError, match=r"no depth; name a depth model \(backends.depth\)"):
        clip_depth(replace(clip, depth_m=None), None)


def test_depth_that_is_nearly_all_unknown_is_refused(clip):
    holes = np.full_like(clip.depth_m, np.nan)
    holes[:, :2] = 1.0
    with pytest.raises(SourceError, match="0.8% of the pixels have depth"):
        clip_depth(replace(clip, depth_m=holes), None)


def test_unknown_intrinsics_name_the_settings(clip):
    with pytest.raises(SourceError, match="read.intrinsics"):
        clip_intrinsics(replace(clip, intrinsics=None))


def test_given_poses_are_taken_as_they_are(clip, swaying_camera):
    poses = swaying_camera.T_world_camera[:20]
    found = clip_camera(replace(clip, T_world_camera=poses), clip.depth_m, CameraMotionSettings())
    assert found.source == "given" and found.T_world_camera is poses
