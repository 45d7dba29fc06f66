# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures: every picture has a pose, every depth image its colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mu0_core.calibration.board import Board
from mu0_core.calibration.lens import Lens
from mu0_core.calibration.view_folder import read_rgbd, read_views
from mu0_core.errors import DataError
from mu0_core.testing.calibration_views import CAMERA, Rig

BOARD = Board.parse("charuco:5x4:0.04:0.03")


def write(path, picture):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), picture)


def test_pictures_without_a_board_are_named_and_the_rest_are_in_order(tmp_path):
    rng = np.random.default_rng(0)
    rig = Rig.random("eye-in-hand", BOARD, rng)
    for name, T in zip(("10.png", "9.png"), rig.board_poses(2, rng)):
        write(tmp_path / name, rig.picture(T, rng))
    write(tmp_path / "11.png", np.full((480, 640, 3), 90, np.uint8))
    poses = {f"{n}.png": np.eye(4) for n in (9, 10, 11)}
    found, blind = read_views(tmp_path, poses, BOARD, Lens(CAMERA))
    assert [v.name for v in found.views] == ["9.png", "10.png"] and blind == ["11.png"]
    assert set(found.pictures) == {"9.png", "10.png"}


def test_poses_and_pictures_must_be_the_same(tmp_path):
    write(tmp_path / "a.png", np.zeros((480, 640, 3), np.uint8))
    for poses, words in (({}, "images without a pose: a.png"), ({"b.png"}, "without a pose")):
        with pytest.raises(DataError, match=words):
            read_views(tmp_path, dict.fromkeys(poses, np.eye(4)), BOARD, Lens(CAMERA))
    both = dict.fromkeys(("a.png", "b.png"), np.eye(4))
    with pytest.raises(DataError, match="1 poses without an image: b.png"):
        read_views(tmp_path, both, BOARD, Lens(CAMERA))
    with pytest.raises(DataError, match="is no folder"):
        read_views(tmp_path / "c", both, BOARD, Lens(CAMERA))


def test_colour_and_depth_are_paired_by_name(tmp_path):
    for name in ("1.png", "2.png"):
        write(tmp_path / "color" / name, np.full((6, 8, 3), int(name[0]), np.uint8))
    with pytest.raises(DataError, match="no depth images"):
        list(read_rgbd(tmp_path, 0.001))
    write(tmp_path / "depth" / "2.png", np.full((6, 8), 500, np.uint16))
    ((name, rgb, depth),) = read_rgbd(tmp_path, 0.001)
    assert name == "2.png" and rgb[0, 0, 0] == 2
    np.testing.assert_allclose(depth, 0.5)
