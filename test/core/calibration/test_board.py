# SPDX-License-Identifier: Apache-2.0
"""Boards are named by a text, drawn, and found again where they were drawn."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.calibration.board import Board
from mu0_core.calibration.board_pose import board_pose, project
from mu0_core.errors import ConfigError
from mu0_core.testing.calibration_views import Rig, error_of

BOARDS = (
    "checkerboard:9x6:0.03",
    "charuco:7x5:0.04:0.03",
    "apriltag:1x1:0.1",
    "apriltag:3x2:0.06:0.02",
)


@pytest.mark.parametrize("text", BOARDS)
def test_corners_are_found_where_they_were_drawn_and_by_their_number(text):
    rng = np.random.default_rng(3)
    rig = Rig.random("eye-in-hand", Board.parse(text), rng)
    for T in rig.board_poses(2, rng):
        found = rig.board.find(rig.picture(T, rng))
        assert found is not None and len(found) >= 4
        off = found.uv_px - project(T, found.board_m, rig.lens)
        assert np.abs(off).max() < 0.6
        assert np.abs(off.mean(0)).max() < 0.15, "half a pixel is a convention, not noise"
        mm, deg = error_of(board_pose(found.board_m, found.uv_px, rig.lens)[0], T)
        assert mm < 4.0 and deg < 1.0


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_checkerboard_upside_down_is_not_mistaken(turn):
    board = Board.parse("checkerboard:5x4:0.03")
    drawn = np.repeat(board.picture(800.0)[..., None], 3, axis=2)
    found = board.find(np.rot90(drawn, turn))
    margin, px = round(board.margin_m * 800), 24
    first = np.array([margin, margin]) - 0.5  # of the picture as it was drawn
    height, width = drawn.shape[:2]
    for _ in range(turn):
        first = np.array([first[1], width - 1 - first[0]])
        height, width = width, height
    np.testing.assert_allclose(found.uv_px[0], first, atol=0.3)
    assert np.hypot(*(found.uv_px[1] - found.uv_px[0])) == pytest.approx(px, abs=0.5)


def test_an_empty_wall_shows_no_board():
    wall = np.full((240, 320, 3), 128, np.uint8)
    assert all(Board.parse(text).find(wall) is None for text in BOARDS)


def test_the_corners_of_a_grid_of_tags_keep_their_gaps():
    corners = Board.parse("apriltag:2x1:0.06:0.02").corners_m
    assert corners.shape == (8, 3)
    np.testing.assert_allclose(corners[[0, 1, 4]][:, 0], [0.0, 0.06, 0.08])
    np.testing.assert_allclose(corners[[0, 2]][:, 1], [0.0, 0.06])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("circles:4x5:0.1", "checkerboard, charuco, apriltag"),
        ("checkerboard:9x6", "expected checkerboard:COLUMNSxROWS"),
        ("checkerboard:ninexsix:0.1", "expected checkerboard"),
        ("checkerboard:9x7:0.03", "upside down"),
        ("checkerboard:2x3:0.03", "allowed 3 to 50"),
        ("checkerboard:9x6:25", "outside 0.001 to 2"),
        ("charuco:7x5:0.03:0.04", "smaller than its square"),
        ("apriltag:2x2:0.05", "gap between tags"),
    ],
)
def test_what_is_no_board_is_refused_with_what_is(text, words):
    with pytest.raises(ConfigError, match=words):
        Board.parse(text)


def test_an_unknown_dictionary_is_refused_with_those_that_opencv_has():
    board = Board.parse("apriltag:1x1:0.1:0:DICT_NOTHING")
    with pytest.raises(ConfigError, match="DICT_NOTHING.*DICT_APRILTAG_36H11"):
        board.find(np.zeros((60, 80, 3), np.uint8))
