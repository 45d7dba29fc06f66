# SPDX-License-Identifier: Apache-2.0
"""Depth in wrong units, images that do not belong together, and cameras outside the tf tree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import NoQueryPointsError, ObservationError, TransformError
from mu0_core.observation.depth_checks import (
    check_any_depth,
    check_depth_scale,
    check_same_raster,
)
from mu0_core.observation.frame_tree import check_connected
from mu0_core.types import CameraIntrinsics, RgbdFrame

CAMERA = CameraIntrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
ROBOT = {"link1": "base", "tcp": "link1", "camera_link": "tcp", "lens": "camera_link"}


def flat(depth_m):
    depth = np.full((48, 64), depth_m, np.float32)
    return RgbdFrame(np.zeros((48, 64, 3), np.uint8), depth, CAMERA, "lens", 1)


@given(st.floats(0.051, 9.9))
def test_metres_pass_and_either_mix_up_of_units_is_told_apart(depth):
    check_depth_scale(flat(depth), (0.05, 10.0))
    with pytest.raises(ObservationError, match="1000 .millimetres sent as metres"):
        check_depth_scale(flat(depth * 1000), (0.05, 10.0))
    with pytest.raises(ObservationError, match="1000 .metres sent as millimetres"):
        check_depth_scale(flat(depth / 1000), (0.05, 10.0))


def test_depth_that_is_only_far_is_refused_without_a_guess():
    with pytest.raises(ObservationError, match="median depth is 20 m, plausible 0.05 to 10") as e:
        check_depth_scale(flat(20.0), (0.05, 10.0))
    assert "1000" not in str(e.value)
    check_depth_scale(flat(np.nan), (0.05, 10.0))


def test_an_image_without_any_depth_is_of_no_use_and_one_with_a_patch_is():
    frame = flat(np.nan)
    with pytest.raises(NoQueryPointsError, match="no pixel of the image has"):
        check_any_depth(frame)
    frame.depth_m[8:24, 16:32] = 0.7
    check_any_depth(frame)


def test_images_of_different_frames_and_sizes_are_refused_by_name():
    colour = ("lens", 64, 48)
    check_same_raster(colour, colour, CAMERA)
    with pytest.raises(ObservationError, match="depth is in frame 'ir', colour in 'lens'"):
        check_same_raster(colour, ("ir", 64, 48), CAMERA)
    with pytest.raises(ObservationError, match="colour is 64x48, depth 32x24, camera_info 64x48"):
        check_same_raster(colour, ("lens", 32, 24), CAMERA)
    with pytest.raises(ObservationError, match="camera_info 64x48: they must agree"):
        check_same_raster(("lens", 32, 24), ("lens", 32, 24), CAMERA)


def test_a_camera_in_the_tree_passes():
    check_connected(ROBOT, "base", "lens")
    check_connected(ROBOT, "tcp", "link1")


@pytest.mark.parametrize(
    ("parents", "words"),
    [
        ({"link1": "base"}, "camera frame 'lens' is not in the tf tree; it has: base, link1"),
        ({}, "it has: no frames"),
        ({"lens": "camera_link"}, "base frame 'base' is not in the tf tree"),
        (
            {"link1": "base", "lens": "camera_link"},
            "'lens' hangs under 'camera_link' and base frame 'base' under 'base'",
        ),
        ({"lens": "a", "a": "lens", "base": "world"}, "loop"),
    ],
)
def test_a_tree_without_the_camera_is_refused_with_its_frames(parents, words):
    with pytest.raises(TransformError, match=words):
        check_connected(parents, "base", "lens")


def test_a_long_tree_is_cut():
    many = {f"link{k:02}": "base" for k in range(30)}
    with pytest.raises(TransformError, match="link10, …$"):
        check_connected(many, "base", "lens")
