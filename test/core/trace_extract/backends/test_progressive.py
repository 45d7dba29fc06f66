# SPDX-License-Identifier: Apache-2.0
"""Points are added where no track is left, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from mu0_core.errors import ConfigError, DataError
from mu0_core.trace_extract.backends.progressive import (
    ProgressSettings,
    select,
    track_progressively,
)
from mu0_core.trace_extract.records import Tracks

FRAMES = 30


def proposals(make_keypoints, at_frames, count=20, entities=1):
    """A row of points, 30 px apart, proposed again in each frame."""
    frame = [f for f in at_frames for _ in range(count)]
    uv = [(30.0 * k + 10, 50.0) for _ in at_frames for k in range(count)]
    queries = make_keypoints(frame, uv)
    ids = np.tile(np.arange(count) % entities, len(at_frames)).astype(np.int32)
    return replace(queries, cluster_ids=ids)


def still(queries, until=FRAMES):
    """Track everything at rest; points of frame 0 are lost at frame ``until``."""
    count = len(queries.frame)
    visible = np.ones((count, FRAMES), bool)
    visible[queries.frame == 0, until:] = False
    uv = np.repeat(queries.uv_px[:, None], FRAMES, axis=1)
    world = np.concatenate([uv, uv[..., :1]], axis=-1)
    return Tracks(uv, world, visible, queries.cluster_ids, queries.frame)


def test_one_round_is_enough_when_nothing_is_lost(make_keypoints):
    queries = proposals(make_keypoints, [0, 10, 20])
    tracks = track_progressively(still, queries, 640, ProgressSettings())
    assert tracks.query_frame.tolist() == [0] * 20


def test_lost_points_are_replaced_where_they_were_lost(make_keypoints):
    queries = proposals(make_keypoints, [0, 10, 20])
    rounds = []

    def track(chosen):
        rounds.append((int(chosen.frame[0]), len(chosen.frame)))
        return still(chosen, until=15)

    tracks = track_progressively(track, queries, 640, ProgressSettings())
    assert rounds == [(0, 20), (20, 20)]
    assert tracks.uv_px.shape == (40, FRAMES, 2) and tracks.visible[:, 25].sum() == 20


def test_an_entity_gets_no_more_than_its_points(make_keypoints):
    queries = proposals(make_keypoints, [0], entities=2)
    tracks = track_progressively(
        still, queries, 640, ProgressSettings(points_per_entity=4, lonely_px=1e4)
    )
    assert np.unique(tracks.cluster_ids, return_counts=True)[1].tolist() == [4, 4]


def test_points_of_priors_are_taken_beyond_that(make_keypoints):
    queries = proposals(make_keypoints, [0])
    queries = replace(queries, from_prior=np.arange(20) >= 10)
    tracks = track_progressively(
        still, queries, 640, ProgressSettings(points_per_entity=4, lonely_px=1e4)
    )
    assert len(tracks.query_frame) == 4 + 10


@pytest.mark.parametrize("width, taken", [(640, 20), (2560, 10)])
def test_new_points_keep_their_distance_in_proportion_to_the_image(make_keypoints, width, taken):
    queries = proposals(make_keypoints, [0])
    tracks = track_progressively(still, queries, width, ProgressSettings())
    assert len(tracks.query_frame) == taken  # 8 px at 640 are 32 px at 2560


def test_rounds_and_live_points_are_limited(make_keypoints):
    queries = proposals(make_keypoints, [0, 10, 20])
    settings = ProgressSettings(max_points=15, rounds=1)
    tracks = track_progressively(lambda q: still(q, until=1), queries, 640, settings)
    assert len(tracks.query_frame) == 15


def test_a_few_uncovered_points_are_not_worth_a_round(make_keypoints):
    queries = proposals(make_keypoints, [0])
    extra = make_keypoints([10] * 3, [(500.0, 300.0 + 40 * k) for k in range(3)])
    both = replace(
        queries,
        frame=np.concatenate([queries.frame, extra.frame]),
        uv_px=np.concatenate([queries.uv_px, extra.uv_px]),
        cluster_ids=np.concatenate([queries.cluster_ids, extra.cluster_ids]),
        from_prior=np.concatenate([queries.from_prior, extra.from_prior]),
    )
    few = track_progressively(still, both, 640, ProgressSettings(min_new=4))
    assert len(few.query_frame) == 20
    all_of_them = track_progressively(still, both, 640, ProgressSettings(min_new=3))
    assert len(all_of_them.query_frame) == 23


def test_selecting_keeps_what_belongs_to_the_clip(make_keypoints):
    queries = proposals(make_keypoints, [0, 10])
    part = select(queries, np.array([21, 3]))
    assert part.frame.tolist() == [10, 0]
    assert part.sampled_frames is queries.sampled_frames


def test_points_that_are_seen_nowhere_are_an_error(make_keypoints):
    queries = proposals(make_keypoints, [0])

    def blind(chosen):
        tracks = still(chosen)
        return replace(tracks, visible=np.zeros_like(tracks.visible))

    with pytest.raises(DataError, match="none of 20 keypoints has a clear depth"):
        track_progressively(blind, queries, 640, ProgressSettings())
    with pytest.raises(DataError, match="none of 0 keypoints"):
        track_progressively(still, select(queries, np.zeros(0, int)), 640, ProgressSettings())


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"spacing_px": 0.0}, {"points_per_entity": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="positive|spacing_px"):
        ProgressSettings(**wrong)
