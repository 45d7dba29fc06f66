# SPDX-License-Identifier: Apache-2.0
"""Frames come back from disk as they were given, small in memory, with what is unknown as NaN."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mu0_core.errors import SourceError
from mu0_core.geometry.camera import project
from mu0_core.trace_extract.sources.frame_store import FrameStore
from mu0_core.trace_extract.sources.reading import ReadSettings
from mu0_core.types import CameraIntrinsics


def _store(folder, **settings):
    return FrameStore(folder, "clip", "in.mp4", ReadSettings(**settings))


def test_frames_come_back_as_they_were_given(tmp_path):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (5, 12, 16, 3), np.uint8)
    depth = rng.uniform(0.2, 5, (5, 12, 16)).astype(np.float16)
    with _store(tmp_path / "new") as store:
        for colour, metres in zip(rgb, depth):
            store.add(colour, metres)
        stored_rgb, stored_depth = store.finish()
    assert isinstance(stored_rgb, np.memmap) and isinstance(stored_depth, np.memmap)
    np.testing.assert_array_equal(stored_rgb, rgb)
    np.testing.assert_array_equal(stored_depth, depth)
    assert stored_depth.dtype == np.float16


def test_depth_may_come_in_any_order_and_what_is_missing_is_unknown(tmp_path):
    with _store(tmp_path) as store:
        store.set_depth(2, np.full((4, 6), 3.0))
        for _ in range(4):
            store.add(np.zeros((4, 6, 3), np.uint8))
        store.set_depth(0, np.full((4, 6), 1.0))
        assert store.frames_without_depth == 2
        _, depth = store.finish()
    assert depth[0, 0, 0] == 1 and depth[2, 0, 0] == 3
    assert np.isnan(depth[[1, 3]]).all()


def test_depth_that_is_no_distance_is_unknown_never_zero(tmp_path):
    metres = np.array([[0, -1, np.nan, np.inf, 1e9, 1e-9, 1.5]], np.float32)
    with _store(tmp_path) as store:
        store.add(np.zeros((1, 7, 3), np.uint8), metres)
        _, depth = store.finish()
    np.testing.assert_array_equal(depth[0, 0], [np.nan] * 6 + [1.5])


def test_without_depth_there_is_none(tmp_path):
    with _store(tmp_path) as store:
        store.add(np.zeros((4, 6, 3), np.uint8))
        assert store.finish()[1] is None


def test_shrinking_moves_pixels_and_intrinsics_alike(tmp_path):
    camera = CameraIntrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    rgb, depth = np.zeros((48, 64, 3), np.uint8), np.full((48, 64), np.nan, np.float32)
    rgb[20:24, 40:44], depth[20:24, 40:44] = 255, 2.0  # centred on u 41.5, v 21.5
    with _store(tmp_path, max_width=32) as store:
        store.add(rgb, depth)
        small, small_depth = store.finish()
        small_camera = store.fit(camera)
    point = np.array([(41.5 - camera.cx) / 60 * 2, (21.5 - camera.cy) / 60 * 2, 2.0])
    for image in (small[0, ..., 0] == 255, small_depth[0] == 2):
        v, u = np.nonzero(image)
        np.testing.assert_allclose([u.mean(), v.mean()], project(point, small_camera)[:2])
    assert small.shape == (1, 24, 32, 3)


def test_shrunk_depth_is_that_of_the_pixel_at_its_centre(tmp_path):
    depth = 1 + np.arange(9, dtype=np.float32)[None].repeat(6, 0)
    with _store(tmp_path, max_width=3) as store:
        store.add(np.zeros((6, 9, 3), np.uint8), depth)
        small = store.finish()[1]
    np.testing.assert_array_equal(small[0], [[2, 5, 8]] * 2)


def test_colour_is_averaged_and_depth_is_not(tmp_path):
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[:, ::2] = 200
    depth = np.full((4, 4), 1.0, np.float32)
    depth[:, 1::2] = 3.0
    with _store(tmp_path, max_width=2) as store:
        store.add(rgb, depth)
        small, small_depth = store.finish()
    assert np.all(small == 100)
    assert np.isin(small_depth, [1, 3]).all()


def test_small_frames_are_not_blown_up(tmp_path):
    with _store(tmp_path, max_width=640) as store:
        store.add(np.zeros((4, 6, 3), np.uint8))
        assert store.size == (6, 4)


def test_frames_do_not_pile_up_in_memory(tmp_path):
    frame, depth = np.zeros((480, 640, 3), np.uint8), np.ones((480, 640), np.float32)
    tracemalloc.start()
    with _store(tmp_path) as store:
        for _ in range(40):  # 61 MB
            store.add(frame, depth)
        store.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


def test_a_clip_has_one_size(tmp_path):
    with (
        pytest.raises(SourceError, match="in.mp4: frame 1 has 8x4 pixels, those before 6x4"),
        _store(tmp_path) as store,
    ):
        store.add(np.zeros((4, 6, 3), np.uint8))
        store.add(np.zeros((4, 8, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []  # nothing is left of what failed


def test_depth_of_another_size_is_refused(tmp_path):
    with pytest.raises(SourceError, match="depth of frame 0 has 3x2 pixels, colour 6x4"):
        _store(tmp_path).add(np.zeros((4, 6, 3), np.uint8), np.ones((2, 3)))


def test_intrinsics_of_another_size_are_refused(tmp_path):
    with _store(tmp_path) as store:
        store.add(np.zeros((4, 6, 3), np.uint8))
        with pytest.raises(SourceError, match="intrinsics are for 12x8 pixels, frames have 6x4"):
            store.fit(CameraIntrinsics(12, 8, 9.0, 9.0, 6.0, 4.0))
        assert store.fit(None) is None


def test_no_frames_are_an_error(tmp_path):
    with pytest.raises(SourceError, match="in.mp4: no frames"):
        _store(tmp_path).finish()


def test_a_full_disk_is_named(tmp_path):
    (tmp_path / "clip.rgb.raw").symlink_to(Path("/dev/full"))
    with (
        pytest.raises(SourceError, match=r"cannot be kept in .* \(No space left on device\)"),
        _store(tmp_path) as store,
    ):
        store.add(np.zeros((480, 640, 3), np.uint8))
        store.finish()
