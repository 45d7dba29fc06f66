# SPDX-License-Identifier: Apache-2.0
"""Rows of an episode: in the camera of their frame, at equal path length and as timed."""

import numpy as np
import pytest

from mu0_core.data.arc_length import STEP_LENGTH
from mu0_core.errors import ConfigError
from mu0_core.trace_extract.records import Tracks
from mu0_core.trace_extract.stages.slots import SlotSettings, build_slots


def exact_tracks(clip, frame=0):
    """Return the true tracks of twelve points on the square and eight on the wall."""
    inside = np.argwhere(clip.on_square[frame])[:: int(clip.on_square[frame].sum() / 11)][:12]
    wall = np.array([[20, 20], [20, 300], [220, 20], [220, 300], [60, 40], [200, 160], [30, 160],
                     [120, 280]])  # fmt: skip
    uv = np.concatenate([inside, wall])[:, ::-1].astype(np.float32)
    world = clip.truth(frame, uv).astype(np.float32)
    count, frames = world.shape[:2]
    visible = np.ones((count, frames), bool)
    pixels = np.zeros((count, frames, 2), np.float32)
    ids = np.repeat([0, 1], [12, 8]).astype(np.int32)
    return Tracks(pixels, world, visible, ids, np.full(count, frame, np.int32)), uv


def test_rows_are_the_moving_points_in_the_camera_of_the_frame(swaying_camera):
    tracks, uv = exact_tracks(swaying_camera)
    slots, drops = build_slots(tracks, swaying_camera.geometry, SlotSettings())
    assert [slot.frame for slot in slots] == [0, 5, 10, 15] or drops.counts
    first = slots[0]
    assert len(first.is_moving) == 12 and first.is_moving.all()
    np.testing.assert_allclose(first.future[:, 0, :2], uv[:12] + 0.5, atol=1e-3)
    np.testing.assert_array_equal(first.future[:, 0], first.history[:, 0])
    np.testing.assert_array_equal(first.cluster_ids, 0)


def test_steps_have_equal_length_and_the_timed_path_one_column_per_frame(still_camera):
    tracks, _ = exact_tracks(still_camera)
    slot = build_slots(tracks, still_camera.geometry, SlotSettings())[0][0]
    path = slot.future[0][np.isfinite(slot.future[0]).all(axis=1)] / [320, 240, 1]
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_allclose(lengths, STEP_LENGTH, rtol=0.02)
    assert slot.timed_future.shape == (12, 20, 3)
    way = np.diff(slot.timed_future[0, :, 0])
    np.testing.assert_allclose(way, 0.008 * 300 / 0.8, rtol=1e-4)  # 8 mm per frame at 0.8 m


def test_history_runs_backwards_from_the_frame(still_camera):
    tracks, _ = exact_tracks(still_camera)
    slot = next(
        s for s in build_slots(tracks, still_camera.geometry, SlotSettings())[0] if s.frame == 5
    )
    assert slot.timed_history.shape == (12, 6, 3)
    assert slot.timed_history[0, 0, 0] > slot.timed_history[0, 5, 0]


def test_frames_without_enough_moving_points_are_counted(still_camera):
    tracks, _ = exact_tracks(still_camera)
    slots, drops = build_slots(tracks, still_camera.geometry, SlotSettings(min_rows=13))
    assert not slots and drops.counts == {"frames without moving points": 4}


def test_still_points_come_only_when_asked_for_and_rows_are_limited(still_camera):
    tracks, _ = exact_tracks(still_camera)
    settings = SlotSettings(max_rows=5, still_rows=3)
    slot = build_slots(tracks, still_camera.geometry, settings)[0][0]
    assert slot.is_moving.tolist() == [True] * 5 + [False] * 3


def test_gaps_are_marked(still_camera):
    tracks, _ = exact_tracks(still_camera)
    tracks.visible[0, 3:6] = False
    slot = build_slots(tracks, still_camera.geometry, SlotSettings())[0][0]
    assert np.isneginf(slot.timed_future[0, 3:6]).all()
    assert np.isfinite(slot.timed_future[0, 6:]).all()


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="min_rows 9"):
        SlotSettings(min_rows=9, max_rows=8)
