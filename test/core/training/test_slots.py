# SPDX-License-Identifier: Apache-2.0
"""Slots: what they hold is what was recorded, in the model's units, and survives a file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mu0_core.errors import DataError
from mu0_core.geometry import camera, se3
from mu0_core.simulation.recording_file import load_recording, recording_paths
from mu0_core.training.slots import SlotSettings, TrainingSlots, build_slots
from mu0_core.training.trace_geometry import to_base


def test_a_slot_per_frame_with_padding(slots):
    assert len(slots) == 12 and slots.query.shape == (12, 8, 3)
    assert slots.trace.shape == (12, 8, 33, 3) and slots.chunk.shape == (12, 16, 4)
    assert np.all(slots.count == 6)
    assert np.all(slots.entity_ids[:, 6:] == -1) and np.all(slots.entity_ids[:, :6] >= 0)
    np.testing.assert_array_equal(slots.point_valid(np.array([0, 3])).sum(axis=1), [6, 6])


def test_queries_are_the_recorded_pixels(slots, recordings):
    frame = load_recording(recordings / slots.files[0]).frames[1]
    uv = camera.pixels_to_uv(frame.query.uv_px, 64, 48)
    np.testing.assert_allclose(slots.query[1, :6, :2], uv, atol=1e-5)
    np.testing.assert_allclose(slots.query[1, :6, 2], frame.query.depth_m, atol=1e-6)
    np.testing.assert_array_equal(slots.trace[:, :, 0], slots.query)


def test_traces_end_where_the_bodies_end(slots, recordings):
    lens, T = slots.intrinsics, slots.T_base_camera
    base = to_base(slots.trace[:, :6].astype(float), lens, T)
    for row in range(len(slots)):
        recording = load_recording(recordings / slots.files[slots.recording[row]])
        frame = recording.frames[slots.frame[row]]
        for point, body in enumerate(frame.query_body):
            motion = recording.body_poses[-1, body] @ se3.inverse(
                recording.body_poses[frame.step, body]
            )
            expected = se3.apply(motion, base[row, point, :1])[0]
            # the horizon is long enough for these motions, so the last sample is the end
            np.testing.assert_allclose(base[row, point, -1], expected, atol=1e-4)
    assert slots.num_steps.max() > 3


def test_chunks_are_commands_relative_to_the_tip_and_hold_at_the_end(slots, recordings):
    recording = load_recording(recordings / slots.files[0])
    start = recording.frames[2].step
    chunk, tip = slots.chunk[2], recording.tip_m[start]
    left = len(recording.command_m) - start
    np.testing.assert_allclose(chunk[:left, :3] + tip, recording.command_m[start:], atol=1e-6)
    np.testing.assert_array_equal(chunk[left:], np.repeat(chunk[left - 1 : left], 16 - left, 0))
    np.testing.assert_allclose(chunk[:left, 3], recording.gripper_command_m[start:], atol=1e-7)


def test_whole_episodes_are_held_out(slots):
    held = slots.validation(0.04)
    assert held.any() and not held.all()
    for seed in np.unique(slots.seed):
        assert len(set(held[slots.seed == seed])) == 1
    np.testing.assert_array_equal(held, slots.validation(0.04))


def test_file_round_trip(slots, tmp_path):
    slots.save(tmp_path / "slots.npz")
    read = TrainingSlots.load(tmp_path / "slots.npz")
    for field in dataclasses.fields(slots):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(slots, field.name))
    (tmp_path / "slots.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"slots\.npz"):
        TrainingSlots.load(tmp_path / "slots.npz")


def test_more_points_than_a_slot_holds_are_refused(recordings):
    with pytest.raises(DataError, match="6 query points"):
        build_slots(recording_paths(recordings), SlotSettings(max_points=4))
