# SPDX-License-Identifier: Apache-2.0
"""Pixels of what moves by itself are told from pixels that only the camera moved."""

import numpy as np

from mu0_core.trace_extract.stages.motion_prior import STRIDE, moving_pixels


def found(clip, frame, other):
    moved = moving_pixels(clip.rgb, clip.geometry, frame, other)
    return moved, clip.on_square[frame, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]


def test_the_square_is_found_and_the_wall_is_not(still_camera):
    both = [found(still_camera, 8, k)[0] for k in (3, 13)]
    moved, square = np.logical_and(*both), found(still_camera, 8, 3)[1]
    assert moved[square].mean() > 0.5
    assert moved[~square].mean() < 0.02


def test_a_moving_camera_alone_moves_nothing(swaying_camera):
    clip = swaying_camera
    both = [found(clip, 8, k)[0] for k in (3, 13)]
    moved, square = np.logical_and(*both), found(clip, 8, 3)[1]
    assert moved[square].mean() > 0.5
    assert moved[~square].mean() < 0.05


def test_the_same_frame_shows_no_motion(still_camera):
    assert not found(still_camera, 4, 4)[0].any()
