# SPDX-License-Identifier: Apache-2.0
"""Points are followed both ways in time, survive an occlusion, and cover the picture."""

from dataclasses import replace

import numpy as np
import pytest

from mu0_core.errors import ConfigError, DataError
from mu0_core.trace_extract.backends.embedded_tracker import EmbeddedTracker, TrackerSettings
from mu0_core.trace_extract.backends.progressive import ProgressSettings
from mu0_core.trace_extract.records import Keypoints


def queries(clip, frames=(0, 10), spacing=24):
    """Return a grid of points in some frames: entity 0 is the wall, 1 the square."""
    v, u = np.mgrid[12:230:spacing, 12:310:spacing]
    uv = np.stack([u.ravel(), v.ravel()], axis=-1)
    square = np.concatenate([clip.on_square[f][uv[:, 1], uv[:, 0]] for f in frames]).astype(
        np.int32
    )
    count = len(uv)
    return Keypoints(
        np.repeat(frames, count).astype(np.int32),
        np.tile(uv, (len(frames), 1)).astype(np.float32),
        square,
        np.zeros(count * len(frames), bool),
        np.array(frames, np.int32),
        np.zeros((len(frames), 2, 2), np.int16),
    )


def error_m(clip, tracks):
    """Return (P, T) distance to the truth, NaN where not visible."""
    begin = tracks.uv_px[np.arange(len(tracks.query_frame)), tracks.query_frame]
    error = np.full(tracks.visible.shape, np.nan)
    for frame in np.unique(tracks.query_frame):
        rows = np.flatnonzero(tracks.query_frame == frame)
        truth = clip.truth(frame, begin[rows])
        error[rows] = np.linalg.norm(tracks.world_m[rows] - truth, axis=-1)
    return np.where(tracks.visible, error, np.nan)


@pytest.mark.parametrize("name", ["still_camera", "swaying_camera"])
def test_tracks_stay_on_their_points(name, request):
    clip = request.getfixturevalue(name)
    tracks = EmbeddedTracker().track(clip.rgb, clip.geometry, queries(clip))
    error = error_m(clip, tracks)
    assert np.nanmedian(error) < 0.003 and np.nanpercentile(error, 95) < 0.012
    on_square = tracks.cluster_ids == 1
    assert on_square.sum() >= 8 and np.nanmedian(error[on_square]) < 0.006
    assert tracks.visible[on_square].mean() > 0.7


def test_points_of_a_later_frame_are_followed_back_to_the_first(still_camera):
    clip = still_camera
    tracks = EmbeddedTracker().track(clip.rgb, clip.geometry, queries(clip, frames=(10,)))
    assert tracks.visible[:, 0].mean() > 0.7 and tracks.visible[:, -1].mean() > 0.7
    assert (tracks.query_frame == 10).all()


def test_a_point_hidden_for_a_while_is_found_again_and_not_seen_meanwhile(still_camera):
    clip = still_camera
    rgb, depth = clip.rgb.copy(), clip.depth_m.copy()
    rgb[6:9, 20:70, 230:290], depth[6:9, 20:70, 230:290] = 255, 0.3
    geometry = replace(clip.geometry, depth_m=depth)
    tracks = EmbeddedTracker().track(rgb, geometry, queries(clip, frames=(0,)))
    begin = tracks.uv_px[:, 0]
    hidden = (np.abs(begin - [260, 45]) <= [18, 14]).all(axis=1)
    assert hidden.sum() >= 2
    assert not tracks.visible[hidden][:, 6:9].any()
    assert tracks.visible[hidden][:, 10:].mean() > 0.7


def test_new_points_keep_their_distance_and_an_entity_its_limit(still_camera):
    clip = still_camera
    settings = TrackerSettings(cover=ProgressSettings(10, spacing_px=8, lonely_px=60))
    tracks = EmbeddedTracker(settings).track(clip.rgb, clip.geometry, queries(clip, spacing=6))
    first = tracks.uv_px[tracks.query_frame == 0, 0]
    apart = np.abs(first[:, None] - first[None]).max(axis=-1) + 1e3 * np.eye(len(first))
    assert apart.min() >= 4  # 8 px at 640 px of width
    strict = TrackerSettings(cover=ProgressSettings(10, lonely_px=1e4))
    few = EmbeddedTracker(strict).track(
        clip.rgb, clip.geometry, queries(clip, frames=(0,), spacing=6)
    )
    assert np.bincount(few.cluster_ids).tolist() == [10, 10]


def test_points_that_a_prior_wants_do_not_count_against_the_limit(still_camera):
    clip = still_camera
    wanted = queries(clip, frames=(0,), spacing=20)
    wanted = replace(wanted, from_prior=wanted.cluster_ids == 1)
    settings = TrackerSettings(cover=ProgressSettings(3, lonely_px=1e4))
    tracks = EmbeddedTracker(settings).track(clip.rgb, clip.geometry, wanted)
    counts = np.bincount(tracks.cluster_ids)
    assert counts[0] == 3 and counts[1] > 3


def test_it_is_deterministic(still_camera):
    clip = still_camera
    both = [
        EmbeddedTracker().track(clip.rgb[:6], clip.geometry, queries(clip, frames=(0,)))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(both[0].world_m, both[1].world_m)


def test_no_point_with_depth_is_an_error(still_camera):
    clip = still_camera
    blind = replace(clip.geometry, depth_m=np.full_like(clip.depth_m, np.nan))
    with pytest.raises(DataError, match="none of 260 keypoints has a clear depth"):
        EmbeddedTracker().track(clip.rgb, blind, queries(clip))


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="search_frames -1"):
        TrackerSettings(search_frames=-1)
