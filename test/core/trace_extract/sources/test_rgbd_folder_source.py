# SPDX-License-Identifier: Apache-2.0
"""Folders of images: right colours and metres, matched as named, and clear words when broken."""

from __future__ import annotations

import json
import logging

import cv2
import numpy as np
import pytest

from mu0_core.errors import SourceError
from mu0_core.trace_extract.records import TextSpan
from mu0_core.trace_extract.sources import rgbd_folder
from mu0_core.trace_extract.sources.reading import ClipRef, ReadSettings

CAMERA = {"fx": 60.0, "fy": 61.0, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48}


def _read(root, tmp_path, **settings):
    ref = ClipRef("rgbd_folder", root, "clip")
    return rgbd_folder.read(ref, ReadSettings(**settings), tmp_path / "scratch")


def _camera(root, **changes):
    values = {key: value for key, value in {**CAMERA, **changes}.items() if value is not None}
    (root / "intrinsics.json").write_text(json.dumps(values))


def test_a_recording_of_the_simulator_is_read_whole(tmp_path, tiny, image_folder):
    root = image_folder(count=12)
    _camera(root, fps=30, depth_unit_m=0.001)
    (root / "stamps.txt").write_text("\n".join(str(7 + i / 20) for i in range(12)))
    (root / "description.txt").write_text("tidy the table")
    texts = [{"first": 0, "last": 5, "text": "pick"}, {"first": 6, "last": 11, "text": "place"}]
    (root / "texts.json").write_text(json.dumps(texts))
    (root / "truth").mkdir()
    np.save(root / "truth/T_world_camera.npy", np.zeros(3))  # must not be looked at
    clip = _read(root, tmp_path)
    assert [tiny.number_of(rgb) for rgb in clip.rgb] == [0, 2, 4, 6, 8, 10]
    assert all(tiny.has_right_colours(rgb, 0) for rgb in clip.rgb)
    np.testing.assert_allclose(clip.stamps_s, np.arange(6) / 10, atol=1e-9)
    for index, depth in zip(range(0, 12, 2), clip.depth_m):
        np.testing.assert_allclose(depth, tiny.depth_m(index), atol=1e-3)  # NaN where unknown
    assert (clip.intrinsics.fx, clip.intrinsics.cy) == (60, 23.5)
    assert clip.T_world_camera is None
    assert clip.texts == (
        TextSpan(0, 5, "tidy the table"),
        TextSpan(0, 2, "pick"),
        TextSpan(3, 5, "place"),
    )


def test_the_truth_beside_it_changes_nothing_not_even_the_hash(tmp_path, image_folder):
    root = image_folder()
    before = _read(root, tmp_path).source_hash
    (root / "truth").mkdir()
    (root / "truth/tracks.npy").write_bytes(b"secret")
    assert _read(root, tmp_path).source_hash == before
    (root / "stamps.txt").write_text("\n".join(map(str, range(6))))
    assert _read(root, tmp_path).source_hash != before


@pytest.mark.parametrize("color", ["color", "rgb", "."])
def test_colour_alone_is_enough(tmp_path, tiny, image_folder, color):
    clip = _read(image_folder(color=color, depth=None), tmp_path, hfov_deg=90)
    assert [tiny.number_of(rgb) for rgb in clip.rgb] == list(range(6))
    assert clip.depth_m is None and clip.intrinsics.fx == pytest.approx(32)


def test_unknown_times_are_said_to_be_taken_from_the_settings(tmp_path, image_folder, caplog):
    with caplog.at_level(logging.WARNING):
        clip = _read(image_folder(depth=None), tmp_path, fps=5)
    np.testing.assert_allclose(clip.stamps_s, np.arange(6) / 5)
    assert "no stamps.txt and no fps" in caplog.text


def test_the_unit_of_depth_is_the_files_then_the_settings(tmp_path, image_folder):
    root = image_folder(unit_m=0.0002)
    assert _read(root, tmp_path, depth_unit_m=0.0002).depth_m[0, 40, 60] == 2
    _camera(root, depth_unit_m=0.0004)
    assert _read(root, tmp_path, depth_unit_m=0.0002).depth_m[0, 40, 60] == 4


def test_names_in_seconds_are_times_and_the_nearest_depth_belongs(tmp_path, tiny, image_folder):
    color = [f"13050311{second}" for second in ("02.0", "02.25", "02.5", "02.75", "03.0")]
    root = image_folder(stems=color)
    for path, shift in zip(sorted((root / "depth").iterdir()), (0.1, 0.1, 0.13, 0.1, 0.1)):
        path.rename(path.with_name(f"{float(path.stem) + shift:.6f}.png"))
    clip = _read(root, tmp_path)
    np.testing.assert_allclose(clip.stamps_s, [0, 0.25, 0.5, 0.75, 1.0])
    known = [not np.isnan(depth).all() for depth in clip.depth_m]
    assert known == [True, True, False, True, True]  # 0.13 s is more than half a period
    assert clip.depth_m[3, 20, 5] == pytest.approx(1.03, abs=2e-3)


def test_equal_names_match_and_lonely_colour_has_unknown_depth(tmp_path, image_folder, caplog):
    root = image_folder()
    (root / "depth/000002.png").unlink()
    with caplog.at_level(logging.WARNING):
        clip = _read(root, tmp_path)
    assert np.isnan(clip.depth_m[2]).all() and clip.depth_m[3, 20, 5] == pytest.approx(
        1.03, abs=1e-3
    )
    assert "1 of 6 frames have no depth" in caplog.text


def test_as_many_images_with_other_names_match_in_natural_order(tmp_path, image_folder):
    root = image_folder(count=12, stems=[f"frame_{i}" for i in range(12)])
    for path in (root / "depth").iterdir():
        path.rename(path.with_name(path.name.replace("frame", "d")))
    depth = _read(root, tmp_path).depth_m
    np.testing.assert_allclose(depth[:, 20, 5], 1 + 0.01 * np.arange(12), atol=1e-3)


def test_depth_may_be_floats_in_metres_and_what_is_not_finite_is_unknown(tmp_path, image_folder):
    root = image_folder(count=2, depth=None)
    (root / "depth").mkdir()
    depth = np.full((48, 64), 1.5, np.float32)
    depth[0, :4] = [np.nan, np.inf, -np.inf, 0]
    np.save(root / "depth/000000.npy", depth)
    cv2.imwrite(str(root / "depth/000001.tiff"), depth)
    for stored in _read(root, tmp_path).depth_m:
        assert np.isnan(stored[0, :4]).all() and (stored[1:] == 1.5).all()


def test_camera_poses_are_kept_with_their_frames(tmp_path, image_folder):
    root = image_folder()
    _camera(root, fps=20)
    poses = np.tile(np.eye(4), (6, 1, 1))
    poses[:, 0, 3] = np.arange(6)
    np.save(root / "T_world_camera.npy", poses)
    assert _read(root, tmp_path).T_world_camera[:, 0, 3].tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[1]", "holds list, expected an object"),
        ('{"fx": 1, "fy": 1}', "cx, cy missing"),
        ('{"fx": -60, "fy": 60, "cx": 3, "cy": 2}', "fx is -60, must be positive"),
        ('{"fx": "60", "fy": 60, "cx": 3, "cy": 2}', "fx is '60', expected a number"),
        ('{"fx": 60, "fy": 60, "cx": NaN, "cy": 2}', "not calibrated"),
        ('{"fx": 60, "fy": 60, "cx": 3, "cy": 2, "width": 9}', "width and height, or neither"),
        (json.dumps({**CAMERA, "width": 128}), "is for 128x48 pixels, frames have 64x48"),
        (json.dumps({**CAMERA, "depth_unit_m": 0}), "depth_unit_m is 0, must be positive"),
    ],
)
def test_unusable_intrinsics_are_named(tmp_path, image_folder, content, message):
    root = image_folder(count=2)
    (root / "intrinsics.json").write_text(content)
    with pytest.raises(SourceError, match=f"intrinsics.json: .*{message}"):
        _read(root, tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0\n1\n1\n2\n3\n4", "image 2 is at 1.0 s after 1.0 s"),
        ("0\n1\n2\n3\n2.5\n4", "image 4 is at 2.5 s after 3.0 s"),
        ("0\n1\n2\nnan\n4\n5", "must be finite and rise"),
        ("0\n1\n2", "3 lines, but 6 colour images"),
        ("0\n1\ntwo\n3\n4\n5", "one number of seconds a line"),
    ],
)
def test_stamps_that_are_no_times_are_named(tmp_path, image_folder, lines, message):
    root = image_folder()
    (root / "stamps.txt").write_text(lines)
    with pytest.raises(SourceError, match=f"stamps.txt: .*{message}"):
        _read(root, tmp_path)


def test_depth_of_another_size_is_refused(tmp_path, image_folder):
    root = image_folder(count=2)
    cv2.imwrite(str(root / "depth/000001.png"), np.ones((24, 32), np.uint16))
    with pytest.raises(SourceError, match="depth of frame 1 has 32x24 pixels, colour 64x48"):
        _read(root, tmp_path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ones((48, 64), np.uint8), "depth is uint8, allowed: 16-bit unsigned or float"),
        (np.ones((48, 64, 3), np.uint16), r"depth has shape \(48, 64, 3\)"),
    ],
)
def test_depth_of_another_type_is_refused(tmp_path, image_folder, image, message):
    root = image_folder(count=2)
    cv2.imwrite(str(root / "depth/000000.png"), image)
    with pytest.raises(SourceError, match=f"000000.png: {message}"):
        _read(root, tmp_path)


def test_files_that_are_no_images_are_named(tmp_path, image_folder):
    root = image_folder(count=2)
    (root / "color/000001.png").write_text("a text")
    with pytest.raises(SourceError, match="color/000001.png: is no image that OpenCV can decode"):
        _read(root, tmp_path)
    (root / "color/000001.png").write_bytes(b"")
    with pytest.raises(SourceError, match=r"color/000001.png: is empty \(0 bytes\)"):
        _read(root, tmp_path)


def test_a_broken_array_of_depth_is_named(tmp_path, image_folder):
    root = image_folder(count=1, depth=None)
    (root / "depth").mkdir()
    (root / "depth/000000.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(SourceError, match="000000.npy: is no .npy array"):
        _read(root, tmp_path)


@pytest.mark.parametrize(
    ("depth_names", "message"),
    [
        (
            ["000001", "000002", "000003"],
            "3 depth images for 3 colour images and the names differ",
        ),
        (["a", "b"], "2 depth images for 3 colour images and the names differ"),
        ([], "depth: no depth images"),
    ],
)
def test_depth_that_could_belong_anywhere_is_refused(tmp_path, image_folder, depth_names, message):
    root = image_folder(count=3, depth=None)
    (root / "depth").mkdir()
    for name in depth_names:
        cv2.imwrite(str(root / f"depth/{name}.png"), np.ones((48, 64), np.uint16))
    with pytest.raises(SourceError, match=message):
        _read(root, tmp_path)


def test_frames_of_two_sizes_are_refused(tmp_path, tiny, image_folder):
    root = image_folder(count=2, depth=None)
    cv2.imwrite(str(root / "color/000001.png"), tiny.picture(1, (32, 24)))
    with pytest.raises(SourceError, match="frame 1 has 32x24 pixels, those before 64x48"):
        _read(root, tmp_path)


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        (np.tile(np.eye(4), (3, 1, 1)), r"\(3, 4, 4\) float64, expected \(2, 4, 4\)"),
        (np.full((2, 4, 4), np.nan), "finite floats"),
        (np.tile(2 * np.eye(4), (2, 1, 1)), "not rigid"),
        (np.array([{}, {}]), "is no .npy array"),
    ],
)
def test_unusable_poses_are_named(tmp_path, image_folder, poses, message):
    root = image_folder(count=2)
    np.save(root / "T_world_camera.npy", poses)
    with pytest.raises(SourceError, match=f"T_world_camera.npy: .*{message}"):
        _read(root, tmp_path)


@pytest.mark.parametrize("content", ['{"first": 0}', '[{"first": 0, "text": "a"}]', "[3]"])
def test_texts_without_their_frames_are_named(tmp_path, image_folder, content):
    root = image_folder(count=2)
    (root / "texts.json").write_text(content)
    with pytest.raises(SourceError, match="texts.json: expected a list of objects"):
        _read(root, tmp_path)


def test_a_folder_without_colour_is_named(tmp_path):
    (tmp_path / "clip/color").mkdir(parents=True)
    with pytest.raises(SourceError, match="clip: no colour images in color/, rgb/"):
        _read(tmp_path / "clip", tmp_path)
