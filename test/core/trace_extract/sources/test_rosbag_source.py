# SPDX-License-Identifier: Apache-2.0
"""Real bags of both storages: right pixels, depth at the right time, clear words when broken."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin

from mu0_core.errors import SourceError
from mu0_core.trace_extract.records import TextSpan
from mu0_core.trace_extract.sources import rosbag
from mu0_core.trace_extract.sources.reading import ClipRef, ReadSettings

START = 1_700_000_000 * 10**9
COLOR, DEPTH = "/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw"
INFO = "/camera/color/camera_info"
LATE_NS = 4_000_000  # a message is recorded a little after its stamp


def _at(index, rate=30):
    return START + index * 10**9 // rate


def _messages(bags, tiny, count=12, depth_shift_ns=0, stamped=True):
    """Colour at 30 Hz as bgr8, depth in millimetres, camera info."""
    messages = []
    for index in range(count):
        stamp = _at(index) if stamped else 0
        color = bags.image(stamp, tiny.picture(index)[..., ::-1], "bgr8")
        raw = np.nan_to_num(tiny.depth_m(index) * 1000).round().astype(np.uint16)
        depth = bags.image(stamp + depth_shift_ns if stamped else 0, raw, "16UC1")
        messages += [
            (DEPTH, _at(index) + LATE_NS - 1, depth),
            (COLOR, _at(index) + LATE_NS, color),
            (INFO, _at(index) + LATE_NS, bags.info(stamp)),
        ]
    return messages


def _read(path, tmp_path, **settings):
    ref = ClipRef("rosbag", path, "clip")
    return rosbag.read(ref, ReadSettings(**settings), tmp_path / "scratch")


@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        (StoragePlugin.SQLITE3, None),
        (StoragePlugin.SQLITE3, (CompressionMode.MESSAGE, CompressionFormat.ZSTD)),
        (StoragePlugin.SQLITE3, (CompressionMode.FILE, CompressionFormat.ZSTD)),
        (StoragePlugin.MCAP, None),
        (StoragePlugin.MCAP, (CompressionMode.STORAGE, CompressionFormat.ZSTD)),
        (StoragePlugin.MCAP, (CompressionMode.FILE, CompressionFormat.ZSTD)),
    ],
)
def test_every_storage_gives_the_same_clip(tmp_path, bags, tiny, storage, compression):
    path = bags.write(tmp_path / "bag", _messages(bags, tiny), storage, compression)
    clip = _read(path, tmp_path)
    assert [tiny.number_of(rgb) for rgb in clip.rgb] == [0, 3, 6, 9]
    assert all(tiny.has_right_colours(rgb, 0) for rgb in clip.rgb)
    for index, depth in zip((0, 3, 6, 9), clip.depth_m):
        np.testing.assert_allclose(depth, tiny.depth_m(index), atol=1e-3)
    np.testing.assert_allclose(clip.stamps_s, np.arange(4) / 10, atol=1e-6)
    assert (clip.intrinsics.fx, clip.intrinsics.fy) == (50, 51)
    assert (clip.intrinsics.cx, clip.intrinsics.cy) == (31.5, 23.5)


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_a_file_without_its_metadata_is_enough(tmp_path, bags, tiny, storage):
    path = bags.write(tmp_path / "bag", _messages(bags, tiny, 4), storage)
    (path / "metadata.yaml").unlink()
    (file,) = path.iterdir()
    assert len(_read(file, tmp_path, fps=30)) == 4


def test_compressed_images_are_read(tmp_path, bags, tiny):
    messages = []
    for index in range(4):
        jpeg = cv2.imencode(".jpg", tiny.picture(index)[..., ::-1])[1]
        raw = np.nan_to_num(tiny.depth_m(index) * 1000).round().astype(np.uint16)
        png = bytes(12) + cv2.imencode(".png", raw)[1].tobytes()
        color = bags.compressed(_at(index), jpeg, "rgb8; jpeg compressed bgr8")
        depth = bags.compressed(_at(index), png, "16UC1; compressedDepth png")
        messages += [
            (f"{COLOR}/compressed", _at(index), color),
            (f"{DEPTH}/compressedDepth", _at(index), depth),
            (INFO, _at(index), bags.info(_at(index))),
        ]
    clip = _read(bags.write(tmp_path / "bag", messages), tmp_path, fps=30)
    assert [tiny.number_of(rgb) for rgb in clip.rgb] == [0, 1, 2, 3]
    assert all(tiny.has_right_colours(rgb) for rgb in clip.rgb)
    np.testing.assert_allclose(clip.depth_m[3], tiny.depth_m(3), atol=1e-3)
    assert clip.intrinsics.fx == 50


def test_depth_belongs_to_the_nearest_colour_within_half_a_period(tmp_path, bags, tiny, caplog):
    messages = _messages(bags, tiny, 6, depth_shift_ns=-10_000_000)
    del messages[3 * 2]  # the depth of picture 2; its neighbours are 23 ms and 43 ms away
    path = bags.write(tmp_path / "bag", messages)
    with caplog.at_level(logging.INFO):
        clip = _read(path, tmp_path, fps=30)
    left = clip.depth_m[:, 20, 5]
    np.testing.assert_allclose(left, [1, 1.01, np.nan, 1.03, 1.04, 1.05], atol=1e-3)
    assert np.isnan(clip.depth_m[2]).all()
    assert "1 of 6 frames have no depth within half a frame period" in caplog.text
    assert f"colour {COLOR}, depth {DEPTH}, camera info {INFO}, instruction none" in caplog.text


def test_depth_that_is_recorded_long_after_its_stamp_still_belongs(tmp_path, bags, tiny):
    messages = [
        (topic, log_ns + (200_000_000 if topic == DEPTH else 0), message)
        for topic, log_ns, message in _messages(bags, tiny, 6)
    ]
    depth = _read(bags.write(tmp_path / "bag", messages), tmp_path, fps=30).depth_m
    np.testing.assert_allclose(depth[:, 20, 5], 1 + 0.01 * np.arange(6), atol=1e-3)


def test_depth_of_another_clock_is_refused(tmp_path, bags, tiny):
    path = bags.write(tmp_path / "bag", _messages(bags, tiny, 4, depth_shift_ns=3600 * 10**9))
    with pytest.raises(SourceError, match="within 0.017 s of a colour image; are their clocks"):
        _read(path, tmp_path)


def test_without_header_stamps_the_times_of_recording_count(tmp_path, bags, tiny, caplog):
    path = bags.write(tmp_path / "bag", _messages(bags, tiny, 7, stamped=False))
    clip = _read(path, tmp_path)
    np.testing.assert_allclose(clip.stamps_s, [0, 0.1, 0.2], atol=1e-6)
    np.testing.assert_allclose(clip.depth_m[:, 20, 5], [1, 1.03, 1.06], atol=1e-3)
    assert "header stamps are zero" in caplog.text


def test_repeated_images_are_left_out_with_a_warning(tmp_path, bags, tiny, caplog):
    messages = _messages(bags, tiny, 3)
    messages += [(COLOR, _at(1) + 2 * LATE_NS, bags.image(_at(1), tiny.picture(30), "rgb8"))]
    clip = _read(bags.write(tmp_path / "bag", messages), tmp_path, fps=30)
    assert [tiny.number_of(rgb) for rgb in clip.rgb] == [0, 1, 2]
    assert "left out 1 colour images" in caplog.text


def test_instructions_last_until_the_next(tmp_path, bags, tiny):
    messages = _messages(bags, tiny, 6)
    for index, text in ((-5, "reach"), (1, "reach"), (3, "grasp"), (5, "")):
        messages.append(("/task/instruction", _at(index), bags.string(text)))
    messages.append(("/robot_description", START, bags.string("<robot/>")))
    clip = _read(bags.write(tmp_path / "bag", messages), tmp_path, fps=30)
    assert clip.texts == (TextSpan(0, 2, "reach"), TextSpan(3, 4, "grasp"))


def test_no_camera_info_means_unknown_or_what_is_stated(tmp_path, bags, tiny):
    messages = [m for m in _messages(bags, tiny, 3) if m[0] != INFO]
    path = bags.write(tmp_path / "bag", messages)
    assert _read(path, tmp_path).intrinsics is None
    assert _read(path, tmp_path, intrinsics=(70, 71, 32, 24)).intrinsics.fx == 70


def test_a_camera_that_is_not_calibrated_is_refused(tmp_path, bags, tiny):
    messages = [m for m in _messages(bags, tiny, 3) if m[0] != INFO]
    messages.append((INFO, START, bags.info(START, k=(0,) * 9)))
    path = bags.write(tmp_path / "bag", messages)
    with pytest.raises(SourceError, match=f"{INFO}: camera is not calibrated"):
        _read(path, tmp_path)
    assert _read(path, tmp_path, intrinsics=(70, 71, 32, 24)).intrinsics.fx == 70


def test_a_rectified_image_is_described_by_its_projection(tmp_path, bags, tiny, caplog):
    p = (40, 0, 30, 0, 0, 41, 20, 0, 0, 0, 1, 0)
    distorted = bags.info(START, d=(0.1, 0, 0, 0, 0), p=p)
    for name, fx, warned in (("image_rect_color", 40, False), ("image_raw", 50, True)):
        caplog.clear()
        messages = [(f"/c/{name}", START, bags.image(START, tiny.picture(), "rgb8"))]
        path = bags.write(tmp_path / name, [*messages, ("/c/camera_info", START, distorted)])
        assert _read(path, tmp_path).intrinsics.fx == fx
        assert ("distortion is ignored" in caplog.text) == warned


def test_depth_of_another_size_is_refused(tmp_path, bags, tiny):
    messages = [m for m in _messages(bags, tiny, 3) if m[0] != DEPTH]
    small = bags.image(START, np.ones((24, 32), np.uint16), "16UC1")
    path = bags.write(tmp_path / "bag", [*messages, ("/camera/depth/image", START, small)])
    with pytest.raises(SourceError, match="bag: /camera/depth/image has 32x24 .* aligned topic"):
        _read(path, tmp_path)


def test_a_bag_without_images_says_what_it_has(tmp_path, bags):
    path = bags.write(tmp_path / "bag", [("/say", START, bags.string("hello"))])
    with pytest.raises(SourceError, match=r"bag: no colour images; topics: /say \(std_msgs"):
        _read(path, tmp_path)


def test_an_image_that_cannot_be_decoded_names_its_topic(tmp_path, bags, tiny):
    messages = _messages(bags, tiny, 3)
    messages += [(COLOR, _at(3), bags.image(_at(3), tiny.picture(), "bayer_rggb8"))]
    path = bags.write(tmp_path / "bag", messages)
    with pytest.raises(SourceError, match=f"bag: {COLOR}: colour image has .*'bayer_rggb8'"):
        _read(path, tmp_path, fps=30)


@pytest.mark.parametrize("storage", list(StoragePlugin))
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_bag_that_was_cut_short_is_one_line(tmp_path, bags, tiny, storage, share, whole_folder):
    path = bags.write(tmp_path / "bag", _messages(bags, tiny, 8), storage)
    file = next(file for file in path.iterdir() if file.suffix != ".yaml")
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match="bag.*(cut short or damaged|is empty)") as error:
        _read(path if whole_folder else file, tmp_path)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "scratch").glob("*"))


def test_a_file_of_another_format_is_named(tmp_path):
    path = tmp_path / "bag.mcap"
    path.write_text("not a bag\n" * 50)
    with pytest.raises(SourceError, match="bag.mcap: cannot be read .* allowed: a folder with"):
        _read(path, tmp_path)


def test_metadata_that_is_no_yaml_is_named(tmp_path, bags, tiny):
    path = bags.write(tmp_path / "bag", _messages(bags, tiny, 2))
    (path / "metadata.yaml").write_text("{")
    with pytest.raises(SourceError, match="bag: cannot be read as a rosbag2 recording"):
        _read(path, tmp_path)


def test_a_missing_file_of_a_bag_is_named(tmp_path, bags, tiny):
    path = bags.write(tmp_path / "bag", _messages(bags, tiny, 2))
    (path / "bag.db3").rename(path / "other.db3")
    with pytest.raises(SourceError, match="files are missing.*bag.db3"):
        _read(path, tmp_path)


def test_the_hash_follows_the_bytes(tmp_path, bags, tiny):
    one, same, other = (
        bags.write(tmp_path / name / "bag", _messages(bags, tiny, count), StoragePlugin.MCAP)
        for name, count in (("a", 2), ("b", 2), ("c", 3))
        if (tmp_path / name).mkdir() is None
    )
    hashes = [_read(path, tmp_path).source_hash for path in (one, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]
