# SPDX-License-Identifier: Apache-2.0
"""A camera_info that cannot be true is refused with its number and what is allowed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import ObservationError
from mu0_core.observation.camera_checks import CameraModel, checked
from mu0_core.types import CameraIntrinsics

GOOD = CameraModel.plain(600.0, 600.0, 318.0, 243.0, 640, 480)
P = (550.0, 0.0, 320.0, 0.0, 0.0, 550.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def k(fx=600.0, fy=600.0, cx=318.0, cy=243.0):
    return (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)


def test_a_good_camera_passes_as_it_is():
    assert checked(GOOD) == CameraIntrinsics(640, 480, 600.0, 600.0, 318.0, 243.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": (0.0,) * 9}, "not calibrated: fx=0.0"),
        ({"k": k(fx=-600.0)}, "not calibrated: fx=-600"),
        ({"k": k(cy=float("nan"))}, "not calibrated"),
        ({"k": ()}, "k has 0 numbers, expected 9"),
        ({"k": k(cx=700.0)}, r"\(700, 243\) lies outside the image of 640x480"),
        ({"k": k(fy=150.0)}, r"fx 600 / fy 150 is 4\.00, allowed 0\.5 to 2"),
        ({"k": k(fx=9000.0, fy=9000.0)}, "field of view of 4.1 deg, allowed 5 to 170"),
        ({"k": k(fx=20.0, fy=20.0)}, "field of view of 172.8 deg"),
        (
            {"width": 1280, "height": 960},
            "middle of an image of 637x487 pixels, this one has 1280",
        ),
        ({"binning": (2, 2)}, "binning 2x2.*allowed is 1x1"),
        (
            {"d": (0.3, 0.0, 0.0, 0.0, 0.0), "model": "plumb_bob"},
            r"up to \d+\.\d px \(allowed 2\.0",
        ),
        ({"d": (0.1,), "model": "wavy"}, "'wavy', allowed: plumb_bob"),
        ({"d": (float("inf"),), "model": "plumb_bob"}, "d is not finite"),
    ],
)
def test_what_cannot_be_is_named(change, words):
    with pytest.raises(ObservationError, match=words):
        checked(replace(GOOD, **change))


def test_the_calibration_of_twice_the_resolution_is_refused():
    twice = CameraModel.plain(1200.0, 1200.0, 639.5, 479.5, 640, 480)
    with pytest.raises(ObservationError, match="another resolution"):
        checked(replace(twice, k=k(1200.0, 1200.0, 639.0, 479.0)))


@given(st.integers(160, 1920), st.floats(0.4, 3.0), st.floats(-0.07, 0.07), st.floats(-0.07, 0.07))
def test_real_lenses_with_a_principal_point_near_the_middle_pass(width, focal, dx, dy):
    height = width * 3 // 4
    checked(
        CameraModel.plain(
            focal * width, focal * width, (0.5 + dx) * width, (0.5 + dy) * height, width, height
        )
    )


def test_small_distortion_passes_and_a_rectified_image_has_the_projection_matrix():
    bent = replace(GOOD, d=(-0.05, 0.04, 0.0, 0.0, 0.0), model="plumb_bob", p=P)
    faint = replace(GOOD, d=(0.002, 0.0, 0.0, 0.0, 0.0), model="plumb_bob")
    assert checked(faint).fx == 600.0
    with pytest.raises(ObservationError, match="set rectified: true"):
        checked(bent)
    assert checked(bent, rectified=True).fx == 550.0
    with pytest.raises(ObservationError, match="p is empty or zero"):
        checked(replace(bent, p=()), rectified=True)
    with pytest.raises(ObservationError, match="p is empty or zero"):
        checked(replace(bent, p=(0.0,) * 12), rectified=True)


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("plumb_bob", (0.12, -0.2, 0.001, -0.0005, 0.05)),
        ("rational_polynomial", (0.3, -0.1, 0.0, 0.001, 0.02, 0.25, -0.08, 0.01)),
        ("equidistant", (0.05, -0.01, 0.002, 0.0)),
    ],
)
def test_the_shift_of_pixels_is_that_of_opencv(model, d):
    import cv2

    u, v = np.meshgrid(np.linspace(0, 639, 9), np.linspace(0, 479, 9))
    straight = np.stack([u, v], -1).reshape(-1, 1, 2)
    K = np.array(GOOD.k).reshape(3, 3)
    rays = (straight - [318.0, 243.0]) / 600.0
    if model == "equidistant":
        bent = cv2.fisheye.distortPoints(rays, K, np.array(d))
    else:
        ahead = np.concatenate([rays, np.ones((81, 1, 1))], axis=2)
        bent, _ = cv2.projectPoints(ahead, np.zeros(3), np.zeros(3), K, np.array(d))
    wanted = np.linalg.norm(bent - straight, axis=-1).max()
    assert replace(GOOD, d=d, model=model).distortion_px() == pytest.approx(wanted, abs=1e-6)
