# SPDX-License-Identifier: Apache-2.0
"""What jumps, flickers or is seen too shortly is left out and counted; good tracks stay."""

import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.records import CameraPath, Geometry, Tracks
from mu0_core.trace_extract.stages.filters import FilterSettings, clean_tracks, coverage
from mu0_core.types import CameraIntrinsics

LENS = CameraIntrinsics(64, 48, 50.0, 50.0, 31.5, 23.5)
SETTINGS = FilterSettings()


def geometry(frames=20, depth=1.0):
    path = CameraPath(np.tile(np.eye(4), (frames, 1, 1)), np.zeros(frames), "static")
    return Geometry(np.full((frames, 48, 64), depth, np.float32), LENS, path, "sensor")


def tracks_of(world):
    world = np.asarray(world, np.float32)
    visible = np.isfinite(world).all(axis=-1)
    uv = world[..., :2] * 50 + [31.5, 23.5]
    count = len(world)
    return Tracks(uv, world, visible, np.arange(count), np.zeros(count, int))


def smooth(count=1, frames=20):
    path = np.zeros((count, frames, 3))
    path[..., 0], path[..., 2] = np.linspace(0, 0.3, frames), 1.0
    return path


def test_a_smooth_track_stays_as_it_is():
    tracks = tracks_of(smooth(3))
    cleaned, drops = clean_tracks(tracks, geometry(), SETTINGS)
    np.testing.assert_array_equal(cleaned.world_m, tracks.world_m)
    assert drops.counts == {}


def test_a_teleporting_track_keeps_its_longer_piece():
    path = smooth()
    path[0, 6:, 1] += 0.4
    cleaned, drops = clean_tracks(tracks_of(path), geometry(), SETTINGS)
    assert drops.counts == {"tracks cut where they jump": 1}
    assert not cleaned.visible[0, :6].any() and cleaned.visible[0, 8:].all()
    assert np.isnan(cleaned.world_m[0, :6]).all()
    assert cleaned.visible[0, cleaned.query_frame[0]]  # it began in the part that is gone


def test_flickering_depth_is_dropped():
    path = smooth(2)
    path[1, ::2, 2] += 0.04
    cleaned, drops = clean_tracks(tracks_of(path), geometry(), SETTINGS)
    assert drops.counts == {"tracks with noisy depth": 1}
    np.testing.assert_array_equal(cleaned.cluster_ids, [0])


def test_a_short_track_is_dropped():
    path = smooth(2)
    path[1, 4:] = np.nan
    cleaned, drops = clean_tracks(tracks_of(path), geometry(), SETTINGS)
    assert drops.counts == {"tracks seen too shortly": 1} and len(cleaned.visible) == 1


def test_coverage_is_the_share_of_cells_with_depth_that_hold_a_point():
    v, u = np.meshgrid((np.arange(16) + 0.5) * 3 - 0.5, (np.arange(16) + 0.5) * 4 - 0.5)
    world = np.stack([(u.ravel() - 31.5) / 50, (v.ravel() - 23.5) / 50, np.ones(256)], axis=-1)
    world = np.repeat(world[:, None], 2, axis=1)
    world[128:, 1] = np.nan
    shown = coverage(tracks_of(world), geometry(2), SETTINGS)
    np.testing.assert_allclose(shown, [1.0, 0.5])
    half = geometry(2)
    half.depth_m[:, :, 32:] = np.nan  # the right half cannot be covered and is not asked for
    np.testing.assert_allclose(coverage(tracks_of(world), half, SETTINGS)[1], 1.0)


def test_no_track_covers_nothing():
    empty = tracks_of(np.zeros((0, 3, 3)))
    np.testing.assert_array_equal(coverage(empty, geometry(3), SETTINGS), 0)


@pytest.mark.parametrize("wrong", [{"min_frames": 0}, {"min_coverage": 1.5}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} {next(iter(wrong.values()))}"):
        FilterSettings(**wrong)
