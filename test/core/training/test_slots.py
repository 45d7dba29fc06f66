# SPDX-License-Identifier: Apache-2.0
"""Slots: what they hold is what the snapshots say, in the model's units, and survives a file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mu0_core.errors import DataError
from mu0_core.geometry import camera
from mu0_core.simulation.snapshot_file import load_snapshot, snapshot_paths
from mu0_core.training.slots import SlotSettings, TrainingSlots, build_slots
from mu0_core.training.trace_geometry import to_optical


def test_a_slot_per_sentence_with_padding(slots):
    assert len(slots) == 12 and slots.query.shape == (12, 8, 3)
    assert slots.trace.shape == (12, 8, 33, 3) and slots.chunk.shape == (12, 16, 4)
    assert np.all(slots.count == 6)
    assert np.all(slots.entity_ids[:, 6:] == -1) and np.all(slots.entity_ids[:, :6] >= 0)
    np.testing.assert_array_equal(slots.point_valid(np.array([0, 3])).sum(axis=1), [6, 6])
    assert slots.instruction[:3].tolist() == ["push it", "slide it left", "move"]


def test_queries_are_the_pixels_of_the_picture(slots, snapshots):
    query = load_snapshot(snapshots / slots.files[0]).query
    uv = camera.pixels_to_uv(query.uv_px, 64, 48)
    np.testing.assert_allclose(slots.query[1, :6, :2], uv, atol=1e-5)
    np.testing.assert_allclose(slots.query[1, :6, 2], query.depth_m, atol=1e-6)
    np.testing.assert_array_equal(slots.trace[:, :, 0], slots.query)


def test_traces_end_where_the_tracks_end(slots, snapshots):
    ends = to_optical(slots.trace[:, :6].astype(float), slots.intrinsics)[:, :, -1]
    for row in range(len(slots)):
        snapshot = load_snapshot(snapshots / slots.files[slots.snapshot[row]])
        tracks = snapshot.futures[row % 3].tracks_m
        # the horizon is long enough for these motions, so the last sample is the end
        np.testing.assert_allclose(ends[row], tracks[-1], atol=1e-4)
    assert slots.num_steps.max() > 3


def test_chunks_are_commands_relative_to_the_tip(slots, snapshots):
    snapshot = load_snapshot(snapshots / slots.files[0])
    future = snapshot.futures[2]
    np.testing.assert_allclose(slots.chunk[2, :, :3] + snapshot.tip_m, future.tip_m, atol=1e-6)
    np.testing.assert_allclose(slots.chunk[2, :, 3], future.opening_m, atol=1e-7)


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


def test_more_points_than_a_slot_holds_are_refused(snapshots):
    with pytest.raises(DataError, match="6 query points"):
        build_slots(snapshot_paths(snapshots), SlotSettings(max_points=4))
