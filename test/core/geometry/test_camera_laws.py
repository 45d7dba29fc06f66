# SPDX-License-Identifier: Apache-2.0
"""Projection and pixel conventions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import ObservationError
from mu0_core.geometry import camera
from mu0_core.types import CameraIntrinsics

CAMERA = CameraIntrinsics(640, 480, 610.0, 605.0, 318.0, 242.0)


@given(st.floats(-50, 700), st.floats(-50, 500), st.floats(0.05, 9.0))
def test_project_undoes_unproject(u, v, z):
    uvz = np.array([u, v, z])
    np.testing.assert_allclose(
        camera.project(camera.unproject(uvz, CAMERA), CAMERA), uvz, atol=1e-8
    )


def test_optical_axes_are_right_down_forward():
    u, v, _ = camera.project(np.array([0.1, 0.2, 1.0]), CAMERA)
    assert u > CAMERA.cx and v > CAMERA.cy


def test_a_point_behind_the_camera_has_no_pixel():
    assert np.isnan(camera.project(np.array([0.0, 0.0, -1.0]), CAMERA)[:2]).all()


def test_normalised_uv_spans_the_image_edge_to_edge():
    corners = np.array([[-0.5, -0.5], [639.5, 479.5]])
    np.testing.assert_allclose(camera.pixels_to_uv(corners, 640, 480), [[-1, -1], [1, 1]])


@given(st.floats(0, 639), st.floats(0, 479))
def test_uv_round_trip(u, v):
    pixel = np.array([u, v])
    back = camera.uv_to_pixels(camera.pixels_to_uv(pixel, 640, 480), 640, 480)
    np.testing.assert_allclose(back, pixel, atol=1e-9)


def test_scaled_intrinsics_see_the_same_ray():
    half = CAMERA.scaled(320, 240)
    point = np.array([0.12, -0.07, 0.9])
    full_uv = camera.pixels_to_uv(camera.project(point, CAMERA)[:2], 640, 480)
    half_uv = camera.pixels_to_uv(camera.project(point, half)[:2], 320, 240)
    np.testing.assert_allclose(full_uv, half_uv, atol=1e-12)


@pytest.mark.parametrize("bad", [dict(fx=0.0), dict(fy=-1.0), dict(cx=np.nan), dict(width=0)])
def test_uncalibrated_camera_is_refused(bad):
    good = dict(width=640, height=480, fx=600.0, fy=600.0, cx=320.0, cy=240.0)
    with pytest.raises(ObservationError):
        CameraIntrinsics(**(good | bad))
