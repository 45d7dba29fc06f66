# SPDX-License-Identifier: Apache-2.0
"""Every encoding that is allowed gives the same picture; the others are refused by name."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from mu0_core.errors import SourceError
from mu0_core.trace_extract.sources.image_message import depth_m_of, is_depth, rgb_of


def _encoded(rgb, encoding):
    alpha = np.full((*rgb.shape[:2], 1), 7, np.uint8)
    return {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.concatenate([rgb, alpha], 2),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], 2),
    }[encoding]


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8"])
@pytest.mark.parametrize("padding", [0, 5])
def test_colour_comes_out_as_rgb(bags, tiny, encoding, padding):
    rgb = tiny.picture(3)
    message = bags.image(0, _encoded(rgb, encoding), encoding, padding)
    np.testing.assert_array_equal(rgb_of(message), rgb)
    assert not is_depth(message)


def test_grey_has_three_equal_channels(bags):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    rgb = rgb_of(bags.image(0, grey, "mono8"))
    assert rgb.shape == (3, 4, 3) and (rgb == grey[..., None]).all()


@pytest.mark.parametrize(("encoding", "luma_first"), [("yuv422_yuy2", True), ("yuv422", False)])
def test_yuv_keeps_its_colours(bags, tiny, encoding, luma_first):
    rgb = tiny.picture()
    yuv = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV).astype(np.float64)
    luma = np.clip(16 + yuv[..., 0] * 219 / 255, 0, 255)  # limited range, as cameras send it
    blue = 128 + (rgb[..., 2] - yuv[..., 0]) / 1.772 * 224 / 255
    red = 128 + (rgb[..., 0] - yuv[..., 0]) / 1.402 * 224 / 255
    chroma = np.where(np.arange(rgb.shape[1]) % 2 == 0, blue, red)
    packed = np.stack([luma, chroma] if luma_first else [chroma, luma], -1)
    packed = packed.round().astype(np.uint8)
    assert tiny.has_right_colours(rgb_of(bags.image(0, packed, encoding)), 6)


@pytest.mark.parametrize("is_bigendian", [0, 1])
def test_raw_depth_is_in_metres_or_millimetres(bags, tiny, is_bigendian):
    order = ">" if is_bigendian else "<"
    depth = tiny.depth_m(2)
    metres = bags.image(0, depth.astype(f"{order}f4"), "32FC1", 4, is_bigendian)
    np.testing.assert_array_equal(depth_m_of(metres), depth)
    raw = np.nan_to_num(depth * 1000).round().astype(f"{order}u2")
    millimetres = bags.image(0, raw, "16UC1", 2, is_bigendian)
    np.testing.assert_allclose(depth_m_of(millimetres), depth, rtol=1e-6)
    assert is_depth(metres) and is_depth(millimetres)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_compressed_colour_comes_out_as_rgb(bags, tiny, suffix):
    data = cv2.imencode(suffix, tiny.picture(3)[..., ::-1])[1]
    message = bags.compressed(0, data, f"rgb8; {suffix[1:]} compressed bgr8")
    assert tiny.has_right_colours(rgb_of(message)) and tiny.number_of(rgb_of(message)) == 3
    assert not is_depth(message)


@pytest.mark.parametrize(
    ("form", "header"),
    [
        ("16UC1; compressedDepth png", bytes(12)),
        ("16UC1; compressedDepth", bytes(12)),
        ("16UC1; png compressed ", b""),
    ],
)
def test_compressed_integer_depth_is_in_millimetres(bags, tiny, form, header):
    depth = tiny.depth_m(4)
    raw = np.nan_to_num(depth * 1000).round().astype(np.uint16)
    message = bags.compressed(0, header + cv2.imencode(".png", raw)[1].tobytes(), form)
    assert is_depth(message)
    np.testing.assert_allclose(depth_m_of(message), depth, rtol=1e-6)


def test_compressed_float_depth_is_stored_as_its_inverse(bags, tiny):
    """compressed_depth_image_transport: raw = scale / depth + offset, 0 = unknown."""
    depth, scale, offset = tiny.depth_m(4), 10100.0, -9.0
    raw = np.nan_to_num(scale / depth + offset).round().astype(np.uint16)
    header = struct.pack("<iff", 0, scale, offset)
    data = header + cv2.imencode(".png", raw)[1].tobytes()
    message = bags.compressed(0, data, "32FC1; compressedDepth png")
    np.testing.assert_allclose(depth_m_of(message), depth, rtol=2e-4)


@pytest.mark.parametrize(
    ("convert", "encoding", "message"),
    [
        (rgb_of, "bayer_rggb8", "colour image has encoding 'bayer_rggb8', allowed: rgb8, bgr8"),
        (depth_m_of, "mono16", "depth image has encoding 'mono16', allowed: 32FC1"),
    ],
)
def test_other_encodings_are_refused_by_name(bags, convert, encoding, message):
    with pytest.raises(SourceError, match=message):
        convert(bags.image(0, np.zeros((4, 6), np.uint16), encoding))


def test_data_that_is_too_short_is_refused(bags):
    message = bags.image(0, np.zeros((4, 6, 3), np.uint8), "rgb8")
    message.data = message.data[:-1]
    with pytest.raises(SourceError, match="71 bytes, 4 rows of 18 need 72"):
        rgb_of(message)
    message.step = 17
    with pytest.raises(SourceError, match="step 17 is shorter than a row of 18"):
        rgb_of(message)


@pytest.mark.parametrize("data", [b"", b"no image", bytes(12)])
def test_compressed_data_that_is_no_image_is_refused(bags, data):
    for convert, form in ((rgb_of, "jpeg"), (depth_m_of, "16UC1; compressedDepth rvl")):
        with pytest.raises(SourceError, match=f"format '{form}' .* allowed: jpeg, png"):
            convert(bags.compressed(0, data, form))


def test_compressed_depth_of_eight_bits_is_refused(bags):
    png = cv2.imencode(".png", np.ones((4, 6), np.uint8))[1].tobytes()
    with pytest.raises(SourceError, match="expected one channel of 16 bits"):
        depth_m_of(bags.compressed(0, bytes(12) + png, "16UC1; compressedDepth png"))


def test_float_depth_without_its_constants_is_refused(bags):
    png = cv2.imencode(".png", np.ones((4, 6), np.uint16))[1].tobytes()
    with pytest.raises(SourceError, match="32FC1 is allowed as compressedDepth only"):
        depth_m_of(bags.compressed(0, png, "32FC1; png compressed"))
