# SPDX-License-Identifier: Apache-2.0
"""Points go from chunk to chunk as if there were none, unless they are hidden at the seam."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import ConfigError, InferenceError
from mu0_core.trace_extract.backends.chunks import ChunkSettings, track_in_chunks

FRAMES = 23
PATH = np.stack([np.sin(np.arange(FRAMES) / 3) * 9, np.arange(FRAMES) ** 1.5], axis=1)
NONSENSE = 1e6


def true_tracker(hidden=()):
    """Return a tracker that knows the motion, is blind in ``hidden``, errs before the start."""

    def track_chunk(order, start, points):
        found = points[:, None] + PATH[order][None] - PATH[order[start]][:, None]
        early = np.arange(len(order)) < start[:, None]
        found = np.where(early[..., None], NONSENSE, found)
        seen = np.broadcast_to(~np.isin(order, hidden), early.shape)
        return found, seen | early

    return track_chunk


def truth(start, points):
    return points[:, None] + PATH[None] - PATH[start][:, None]


@given(
    start=st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=5),
    length=st.integers(2, 30),
    overlap=st.integers(1, 29),
)
def test_any_cut_gives_the_same_tracks(start, length, overlap):
    start = np.array(start)
    points = np.random.default_rng(0).normal(size=(len(start), 2))
    settings = ChunkSettings(length, min(overlap, length - 1))
    paths, seen = track_in_chunks(true_tracker(), FRAMES, start, points, settings)
    assert seen.all()
    np.testing.assert_allclose(paths, truth(start, points), atol=1e-4)


def test_points_may_have_three_axes():
    path3 = np.concatenate([PATH, PATH[:, :1] * 2], axis=1)

    def track_chunk(order, start, points):
        found = points[:, None] + path3[order][None] - path3[order[start]][:, None]
        return found, np.ones(found.shape[:2], bool)

    start, points = np.array([0, 12]), np.zeros((2, 3))
    paths, _ = track_in_chunks(track_chunk, FRAMES, start, points, ChunkSettings(7, 2))
    np.testing.assert_allclose(paths, path3[None] - path3[start][:, None], atol=1e-4)


def test_a_point_hidden_for_part_of_the_overlap_goes_on():
    # chunks 0..9, 6..15, 12..21, 18..22; frames 8 and 9 of the first overlap are hidden
    start, points = np.array([0]), np.zeros((1, 2))
    paths, seen = track_in_chunks(
        true_tracker((8, 9)), FRAMES, start, points, ChunkSettings(10, 4)
    )
    assert not seen[0, [8, 9]].any() and seen[0].sum() == FRAMES - 2
    np.testing.assert_allclose(paths, truth(start, points), atol=1e-4)


def test_a_point_hidden_in_the_whole_overlap_ends_there():
    start, points = np.array([0, 11]), np.zeros((2, 2))
    settings = ChunkSettings(10, 4)
    paths, seen = track_in_chunks(true_tracker((6, 7, 8, 9)), FRAMES, start, points, settings)
    assert seen[0, :6].all() and not seen[0, 6:].any()
    assert np.isnan(paths[0, 10:]).all()
    assert seen[1, 10:].all()  # proposed later, it is followed in its own chunk


def test_a_point_is_never_asked_for_twice_in_a_chunk_it_ended_before():
    asked = []
    tracker = true_tracker((6, 7, 8, 9))

    def spy(order, start, points):
        asked.append((int(order[0]), len(points)))
        return tracker(order, start, points)

    track_in_chunks(spy, FRAMES, np.array([0]), np.zeros((1, 2)), ChunkSettings(10, 4))
    assert asked == [(0, 1)]


def test_only_points_that_begin_later_are_followed_backwards():
    orders = []

    def spy(order, start, points):
        orders.append((order[0] < order[-1], len(points)))
        return true_tracker()(order, start, points)

    start, points = np.array([0, 0, 5]), np.zeros((3, 2))
    track_in_chunks(spy, FRAMES, start, points, ChunkSettings(50, 4))
    assert orders == [(True, 3), (False, 1)]


def test_the_frame_of_the_query_is_the_query_itself():
    def stubborn(order, start, points):
        shape = (len(points), len(order))
        return np.full((*shape, 2), 3.0), np.zeros(shape, bool)

    start, points = np.array([4]), np.array([[7.0, 8.0]])
    paths, seen = track_in_chunks(stubborn, 9, start, points, ChunkSettings(50, 4))
    assert seen[0].nonzero()[0].tolist() == [4]
    assert paths[0, 4].tolist() == [7.0, 8.0]


def test_a_single_frame_needs_no_tracker():
    def never(order, start, points):
        raise AssertionError("called")

    paths, seen = track_in_chunks(
        never, 1, np.array([0]), np.array([[1.0, 2.0]]), ChunkSettings(50, 4)
    )
    assert seen.all() and paths[0, 0].tolist() == [1.0, 2.0]


def test_nan_is_never_seen():
    def broken(order, start, points):
        found, seen = true_tracker()(order, start, points)
        return np.where((order == 3)[None, :, None], np.nan, found), seen

    _, seen = track_in_chunks(broken, 6, np.array([0]), np.zeros((1, 2)), ChunkSettings(50, 4))
    assert seen[0].tolist() == [True, True, True, False, True, True]


def test_other_shapes_than_asked_for_are_refused():
    def short(order, start, points):
        found = np.zeros((len(points), len(order) - 1, 2))
        return found, np.zeros((len(points), len(order)), bool)

    with pytest.raises(InferenceError, match=r"points \(1, 4, 2\).*expected \(1, 5, 2\)"):
        track_in_chunks(short, 5, np.array([0]), np.zeros((1, 2)), ChunkSettings(50, 4))


@pytest.mark.parametrize("frames, overlap", [(10, 0), (10, 10), (1, 1)])
def test_an_overlap_must_fit_into_a_chunk(frames, overlap):
    with pytest.raises(ConfigError, match=f"overlap {overlap} must be in 1..{frames - 1}"):
        ChunkSettings(frames, overlap)
