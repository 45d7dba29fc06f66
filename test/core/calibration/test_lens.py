# SPDX-License-Identifier: Apache-2.0
"""Camera files of three kinds give one lens; distortion is undone as it was made."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mu0_core.calibration.lens import Lens, read_lens
from mu0_core.errors import DataError
from mu0_core.testing.calibration_views import CAMERA, camera_info_yaml

BENT = (0.12, -0.2, 0.001, -0.0005, 0.05)


def test_camera_info_manager_the_message_and_plain_numbers_agree(tmp_path):
    manager, message, plain = (tmp_path / n for n in ("a.yaml", "b.yaml", "c.json"))
    manager.write_text(camera_info_yaml(CAMERA))
    k = [CAMERA.fx, 0, CAMERA.cx, 0, CAMERA.fy, CAMERA.cy, 0, 0, 1]
    message.write_text(
        f"header:\n  frame_id: lens\nheight: 480\nwidth: 640\ndistortion_model: plumb_bob\n"
        f"d: []\nk: {k}\nbinning_x: 0\n---\n"
    )
    names = ("fx", "fy", "cx", "cy", "width", "height")
    plain.write_text(json.dumps({n: getattr(CAMERA, n) for n in names}))
    assert {read_lens(p).intrinsics for p in (manager, message, plain)} == {CAMERA}
    assert not any(read_lens(manager).distortion)


def test_points_are_straightened_by_the_coefficients_of_the_file(tmp_path):
    import cv2

    path = tmp_path / "camera.yaml"
    path.write_text(camera_info_yaml(CAMERA, BENT))
    lens = read_lens(path)
    rays = np.random.default_rng(0).uniform(-0.4, 0.4, (20, 2))
    bent, _ = cv2.projectPoints(
        np.c_[rays, np.ones(20)], np.zeros(3), np.zeros(3), lens.matrix, np.array(BENT)
    )
    straight = rays * [CAMERA.fx, CAMERA.fy] + [CAMERA.cx, CAMERA.cy]
    assert np.abs(bent.reshape(-1, 2) - straight).max() > 3.0
    np.testing.assert_allclose(lens.straighten(bent.reshape(-1, 2)), straight, atol=0.02)
    assert lens.straighten_picture(np.zeros((480, 640, 3), np.uint8)).shape == (480, 640, 3)


def test_a_fisheye_is_straightened_as_one():
    import cv2

    d = (0.05, -0.01, 0.002, 0.0)
    lens = Lens(CAMERA, d, fisheye=True)
    rays = np.random.default_rng(1).uniform(-0.5, 0.5, (10, 2))
    bent = cv2.fisheye.distortPoints(rays.reshape(-1, 1, 2), lens.matrix, np.array(d))
    straight = rays * [CAMERA.fx, CAMERA.fy] + [CAMERA.cx, CAMERA.cy]
    np.testing.assert_allclose(lens.straighten(bent.reshape(-1, 2)), straight, atol=0.02)


def test_rectified_images_have_the_projection_matrix(tmp_path):
    path = tmp_path / "camera.yaml"
    text = camera_info_yaml(CAMERA, BENT)
    path.write_text(
        text.replace(f"[{CAMERA.fx}, 0., {CAMERA.cx}, 0., 0.", "[500., 0., 310., 0., 0.")
    )
    lens = read_lens(path, rectified=True)
    assert (lens.intrinsics.fx, lens.intrinsics.cx, lens.distortion) == (500.0, 310.0, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1", "holds list"),
        ("image_width: 640\nimage_height: 480", "k missing"),
        ("{width: 4, height: 3, k: [1, 2]}", "k has 2 numbers, expected 9"),
        ("{width: 4, height: 3, k: [a]}", "expected numbers"),
        ("{width: 4, height: 3, k: [0, 0, 0, 0, 0, 0, 0, 0, 0]}", "not calibrated"),
        ("{fx: 500, fy: 500, cx: 1, cy: 1}", "missing; needed"),
        ("{fx: many, fy: 500, cx: 1, cy: 1, width: 4, height: 3}", "many"),
        ("{: [", "cannot be read"),
    ],
)
def test_a_file_that_is_no_calibration_is_named(tmp_path, text, words):
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=f"camera.yaml.*{words}"):
        read_lens(path)


def test_an_unknown_distortion_is_refused_not_ignored(tmp_path):
    path = tmp_path / "camera.yaml"
    path.write_text(camera_info_yaml(CAMERA, BENT).replace("plumb_bob", "bent_by_hand"))
    with pytest.raises(DataError, match="'bent_by_hand', allowed: plumb_bob"):
        read_lens(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_lens(tmp_path / "nowhere.yaml")
