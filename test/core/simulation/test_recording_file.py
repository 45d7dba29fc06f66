# SPDX-License-Identifier: Apache-2.0
"""A recording survives its file: exact where it must be, half as large where it may be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mu0_core.errors import DataError
from mu0_core.simulation.recorder import RecordedFrame, Recording
from mu0_core.simulation.recording_file import (
    load_recording,
    recording_path,
    recording_paths,
    save_recording,
)
from mu0_core.types import CameraIntrinsics, QueryPoints

WIDTH, HEIGHT, STEPS, BODIES = 32, 24, 6, 3


@pytest.fixture
def recording() -> Recording:
    rng = np.random.default_rng(0)

    def frame(step: int, points: int) -> RecordedFrame:
        query = QueryPoints(
            uv_px=rng.uniform(0, HEIGHT, (points, 2)).astype(np.float32),
            depth_m=rng.uniform(0.5, 1, points).astype(np.float32),
            ids=np.arange(points, dtype=np.uint32),
            entity_ids=rng.integers(0, 3, points).astype(np.uint16),
            roles=np.ones(points, np.uint8),
            width=WIDTH,
            height=HEIGHT,
        )
        return RecordedFrame(
            step,
            rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
            rng.uniform(0.5, 2, (HEIGHT, WIDTH)).astype(np.float32),
            query,
            rng.integers(-1, BODIES, points).astype(np.int32),
        )

    return Recording(
        seed=17,
        task="press_button",
        instructions=("press the button", "hit the button"),
        intrinsics=CameraIntrinsics(WIDTH, HEIGHT, 30.0, 30.0, 15.5, 11.5),
        T_base_camera=np.eye(4),
        tip_m=rng.normal(size=(STEPS, 3)),
        command_m=rng.normal(size=(STEPS, 3)),
        joints_rad=rng.normal(size=(STEPS, 7)),
        gripper_m=rng.random(STEPS),
        gripper_command_m=rng.random(STEPS),
        body_poses=rng.normal(size=(STEPS + 1, BODIES, 4, 4)),
        frames=(frame(0, 4), frame(3, 2)),
    )


def test_everything_but_images_returns_exactly(recording, tmp_path):
    path = recording_path(tmp_path / "new", recording.seed)
    save_recording(recording, path)
    read = load_recording(path)
    assert (read.seed, read.task, read.instructions) == (
        17,
        "press_button",
        recording.instructions,
    )
    assert read.intrinsics == recording.intrinsics
    for name in ("tip_m", "command_m", "joints_rad", "gripper_m", "gripper_command_m",
                 "body_poses", "T_base_camera"):  # fmt: skip
        np.testing.assert_array_equal(getattr(read, name), getattr(recording, name))
    for ours, theirs in zip(read.frames, recording.frames, strict=True):
        assert ours.step == theirs.step
        np.testing.assert_array_equal(ours.query_body, theirs.query_body)
        for name in ("uv_px", "depth_m", "ids", "entity_ids", "roles"):
            mine, original = getattr(ours.query, name), getattr(theirs.query, name)
            np.testing.assert_array_equal(mine, original)
            assert mine.dtype == original.dtype
    assert recording_paths(path.parent) == [path]


def test_colour_is_averaged_and_depth_picked_at_half_size(recording, tmp_path):
    save_recording(recording, tmp_path / "000017.npz")
    ours, theirs = load_recording(tmp_path / "000017.npz").frames[0], recording.frames[0]
    blocks = theirs.rgb.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(ours.rgb - blocks).max() <= 0.5
    np.testing.assert_allclose(ours.depth_m, theirs.depth_m[::2, ::2], rtol=1e-3)


def test_a_recording_that_was_read_cannot_be_halved_again(recording, tmp_path):
    path = tmp_path / "000017.npz"
    save_recording(recording, path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="32x24"):
        save_recording(load_recording(path), path)
    assert path.read_bytes() == before


def test_damage_is_an_error_that_names_the_file(recording, tmp_path):
    path = tmp_path / "000017.npz"
    save_recording(recording, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"000017\.npz"):
        load_recording(path)
    with pytest.raises(DataError, match=r"000018\.npz"):
        load_recording(tmp_path / "000018.npz")


def test_a_pickle_inside_is_refused(tmp_path):
    np.savez(tmp_path / "000001.npz", version=np.array([{"code": 1}], dtype=object))
    with pytest.raises(DataError):
        load_recording(tmp_path / "000001.npz")


def test_a_failed_write_leaves_nothing(recording, tmp_path):
    broken = replace(recording, tip_m=np.array([object()]))
    broken_frame = replace(recording.frames[0], rgb=np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(DataError):
        save_recording(replace(broken, frames=(broken_frame,)), tmp_path / "000002.npz")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_says_how_to_fill_it(tmp_path):
    with pytest.raises(DataError, match="mu0 collect"):
        recording_paths(tmp_path)
