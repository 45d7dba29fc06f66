# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue that end where images are decoded or looked at.

A bad image is an error with a name; nothing is read beyond the buffer, the next good one serves.
"""

import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, Image

from mu0_core.errors import NoQueryPointsError, ObservationError
from mu0_core.inference.keypoints import PlaneSelector
from mu0_core.inference.query_checks import checked_query
from mu0_core.observation.depth_checks import check_depth_scale
from mu0_core.observation.image_raster import depth_m_from_image, rgb_from_image
from mu0_core.types import CameraIntrinsics, RgbdFrame
from mu0_ros.conversions.camera import info_from_intrinsics, intrinsics_from_info
from mu0_ros.conversions.image import image_from_depth_m, image_from_rgb

CAMERA = CameraIntrinsics(160, 120, 130.0, 130.0, 79.5, 59.5)


def table_with_a_block() -> RgbdFrame:
    """A flat table seen from 1 m above it, with a block 5 cm high."""
    rgb = np.full((120, 160, 3), 90, np.uint8)
    depth = np.full((120, 160), 1.0, np.float32)
    rgb[50:70, 70:90], depth[50:70, 70:90] = (200, 30, 30), 0.95
    return RgbdFrame(rgb, depth, CAMERA, "camera", 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0], ids=str)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_row_03_bad_depth_is_masked(share, value):
    frame = table_with_a_block()
    good = PlaneSelector().select(frame, 32)
    column, row = good.uv_px.astype(int).T
    broken = np.random.default_rng(3).permutation(len(good))[: round(share * len(good))]
    depth = frame.depth_m.copy()
    depth[row[broken], column[broken]] = value
    hurt = RgbdFrame(frame.rgb, depth_m_from_image(image_from_depth_m(depth)), CAMERA, "camera", 2)
    asked = type(good)(
        good.uv_px,
        np.full(len(good), np.nan, np.float32),
        good.ids,
        good.entity_ids,
        good.roles,
        good.width,
        good.height,
    )
    if share == 1.0:
        with pytest.raises(NoQueryPointsError, match="has depth") as caught:
            checked_query(asked, hurt, 32)
        assert caught.value.code == "NO_QUERY_POINTS"
    else:
        kept = checked_query(asked, hurt, 32)
        assert set(kept.ids) == set(good.ids) - set(good.ids[broken])
        assert np.all(np.isfinite(kept.depth_m)) and np.all(kept.depth_m > 0)
        chosen = PlaneSelector().select(hurt, 32)
        assert np.all(np.isfinite(chosen.depth_m)) and np.all(chosen.depth_m > 0)


def test_row_03_an_image_without_any_depth_has_no_query_points():
    frame = table_with_a_block()
    frame.depth_m[:] = np.nan
    with pytest.raises(NoQueryPointsError):
        PlaneSelector().select(frame, 32)


ENCODINGS = ["rgb8", "bgr8", "rgba8", "mono8", "bayer_rggb8", "32FC1", "16UC1", "", "jpeg"]


@given(
    st.sampled_from(ENCODINGS),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 200),
    st.integers(0, 4000),
    st.booleans(),
)
@settings(max_examples=300)
def test_row_18_any_header_is_decoded_or_refused(encoding, width, height, step, size, big_endian):
    message = Image(
        encoding=encoding,
        width=width,
        height=height,
        step=step,
        is_bigendian=int(big_endian),
        data=array.array("B", bytes(size)),
    )
    shapes = {rgb_from_image: (height, width, 3), depth_m_from_image: (height, width)}
    for decode, shape in shapes.items():
        try:
            pixels = decode(message)
        except ObservationError as error:
            assert error.code == "OBSERVATION_INVALID"
        else:
            assert pixels.shape == shape and step * height <= size


@pytest.mark.parametrize("side", [8193, 2**31, 2**32 - 1])
def test_row_18_an_image_that_claims_to_be_huge_allocates_nothing(side):
    message = Image(encoding="rgb8", width=side, height=side, step=side)
    with pytest.raises(ObservationError, match="8192"):
        rgb_from_image(message)


def test_row_18_truncated_by_one_byte():
    message = image_from_rgb(np.zeros((12, 16, 3), np.uint8))
    message.data = message.data[:-1]
    with pytest.raises(ObservationError, match=f"{12 * 16 * 3 - 1} bytes"):
        rgb_from_image(message)


@pytest.mark.parametrize("field", range(9))
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_row_19_camera_info_with_bad_numbers(field, value):
    message = info_from_intrinsics(CAMERA)
    matrix = message.k.copy()
    matrix[field] = value
    message.k = matrix
    used = {0: "fx", 4: "fy", 2: "cx", 5: "cy"}.get(field)
    if used is None or (value == 0.0 and used.startswith("c")):
        intrinsics_from_info(message)  # a principal point of 0 is odd and legal
        return
    with pytest.raises(ObservationError, match=f"not calibrated.*{used}"):
        intrinsics_from_info(message)


def test_row_19_camera_info_all_zero():
    with pytest.raises(ObservationError) as caught:
        intrinsics_from_info(CameraInfo())
    assert caught.value.code == "OBSERVATION_INVALID"


@pytest.mark.parametrize("scale", [1000.0, 1e-3])
def test_row_20_depth_off_by_a_thousand(scale):
    frame = table_with_a_block()
    check_depth_scale(frame, (0.05, 10.0))
    wrong = RgbdFrame(frame.rgb, frame.depth_m * np.float32(scale), CAMERA, "camera", 1)
    with pytest.raises(ObservationError, match="units wrong by 1000"):
        check_depth_scale(wrong, (0.05, 10.0))


def test_row_20_millimetres_labelled_metres_on_the_wire():
    millimetres = (table_with_a_block().depth_m * 1000).astype(np.uint16)
    message = image_from_depth_m(millimetres.astype(np.float32))  # 16UC1 content sent as 32FC1
    decoded = depth_m_from_image(message)
    frame = RgbdFrame(table_with_a_block().rgb, decoded, CAMERA, "camera", 1)
    with pytest.raises(ObservationError, match="1000"):
        check_depth_scale(frame, (0.05, 10.0))
