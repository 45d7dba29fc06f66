# SPDX-License-Identifier: Apache-2.0
"""Motion with known halts is cut at them; whatever the motion, the rules of lengths hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.errors import ConfigError, DataError, ShapeError
from mu0_core.evaluation.segment_score import inner_boundaries, score_boundaries
from mu0_core.trace_extract.stages.segments import (
    AGIBOT,
    PAPER,
    SHORT,
    SegmentSettings,
    motion_segments,
)

WIDTH, HEIGHT = 640, 480


def smooth_step(frames):
    """Return 0..1 in ``frames`` steps with rest at both ends (minimum jerk)."""
    t = np.linspace(0, 1, frames)
    return t**3 * (10 - 15 * t + 6 * t**2)


def stop_and_go(rng, moves, rests, points=12, noise_px=0.5):
    """Return tracks (P, T, 3) px, px, m that rest, move, rest, ..., and their halts (n, 2).

    All moves accelerate about alike: a longer one goes farther.
    """
    place, parts, frame, halts = np.zeros(3), [np.zeros((rests[0], 3))], rests[0], []
    for number, (move, rest) in enumerate(zip(moves, rests[1:])):
        angle = rng.uniform(0, 2 * np.pi)
        way = (
            rng.uniform(0.8, 1.2)
            * 1e-4
            * move**2
            * np.array([np.cos(angle), np.sin(angle), rng.uniform(-1, 1)])
        )
        parts += [place + smooth_step(move)[:, None] * way, np.tile(place + way, (rest, 1))]
        place, frame = place + way, frame + move + rest
        if number < len(moves) - 1:
            halts.append((frame - rest, frame))
    path = np.concatenate(parts) * [WIDTH, HEIGHT, 1]
    tracks = rng.uniform([200, 150, 1], [440, 330, 2], (points, 3))[:, None] + path
    noise = rng.normal(0, [noise_px, noise_px, 0.005 * noise_px], tracks.shape)
    return tracks + noise, np.array(halts).reshape(-1, 2)


def all_seen(tracks):
    return np.ones(tracks.shape[:2], bool)


def segments_of(tracks, config=PAPER, valid=None):
    return motion_segments(
        tracks, all_seen(tracks) if valid is None else valid, WIDTH, HEIGHT, config
    )


@pytest.mark.parametrize("noise_px", [0.0, 0.5, 1.5])
def test_halts_are_found_within_a_few_frames(noise_px):
    rng = np.random.default_rng(3)
    found, true = [], []
    for _ in range(20):
        count = int(rng.integers(2, 6))
        moves, rests = rng.integers(28, 60, count), rng.integers(2, 12, count + 1)
        tracks, halts = stop_and_go(rng, moves, rests, noise_px=noise_px)
        found.append(inner_boundaries(segments_of(tracks).bounds))
        true.append(halts)
    score = score_boundaries(found, true, 4)
    assert score.f1 > 0.95, score
    assert score.offset < 0.5, score


def test_short_motions_need_the_short_preset():
    rng = np.random.default_rng(4)
    cases = [stop_and_go(rng, [14, 16, 15, 14], [4] * 5) for _ in range(10)]
    halts = [h for _, h in cases]
    scores = {
        name: score_boundaries(
            [inner_boundaries(segments_of(t, config).bounds) for t, _ in cases], halts, 3
        )
        for name, config in (("short", SHORT), ("paper", PAPER))
    }
    assert scores["short"].f1 > 0.95 > scores["paper"].f1, scores


def test_half_of_the_points_may_rest_or_be_out_of_sight():
    rng = np.random.default_rng(5)
    tracks, halts = stop_and_go(rng, [50, 50, 50], [6] * 4, points=20)
    tracks[:10] = tracks[:10, :1]
    valid = all_seen(tracks)
    for row in range(20):
        start = rng.integers(0, 100)
        valid[row, start : start + 25] = False
    tracks[~valid] = np.nan
    found = inner_boundaries(segments_of(tracks, valid=valid).bounds)
    assert score_boundaries([found], [halts], 4).f1 == 1


def test_a_point_that_enters_at_speed_makes_no_cut():
    tracks, _ = stop_and_go(np.random.default_rng(6), [90], [0, 0], points=10)
    valid = all_seen(tracks)
    valid[5:, :45] = False
    assert len(segments_of(tracks, valid=valid).bounds) == 1


def test_depth_alone_is_motion():
    there = np.concatenate([smooth_step(40), np.ones(6)])
    tracks = np.full((5, 92, 3), 100.0)
    tracks[..., 2] = 1.0 + 0.3 * np.concatenate([there, 1 - there])
    found = inner_boundaries(segments_of(tracks).bounds)
    assert len(found) == 1 and abs(found[0] - 43) <= 2


def test_a_motion_weaker_than_the_peak_height_sets_no_boundary():
    weak = np.concatenate([smooth_step(40), np.ones(6), 1 + 0.3 * smooth_step(40)])
    strong = np.concatenate([smooth_step(40), np.ones(6), 1 + 0.6 * smooth_step(40)])
    found = []
    for path in (weak, strong):
        tracks = np.full((5, 86, 3), 100.0)
        tracks[..., 0] += 150 * path
        found.append(len(segments_of(tracks).bounds))
    assert found == [1, 2]


def test_speeding_up_again_without_a_halt_is_no_boundary():
    track = moving_right([0, 15, 50, 65, 105, 119], [0, 1, 1, 2.5, 2.5, 0])
    assert len(segments_of(track).bounds) == 1


def moving_right(frames, rates):
    """Return tracks whose pixels per frame go through ``rates`` at ``frames``."""
    track = np.zeros((3, frames[-1] + 1, 3)) + [50, 50, 1]
    track[..., 0] += np.cumsum(np.interp(np.arange(frames[-1] + 1), frames, rates))
    return track


@pytest.mark.parametrize("dip, segments", [(0.8, 1), (0.3, 2)])
def test_only_a_deep_dip_of_the_speed_is_a_boundary(dip, segments):
    track = moving_right([0, 10, 50, 60, 70, 105, 119], [0, 1, 1, dip, 1.5, 1.5, 0])
    assert len(segments_of(track).bounds) == segments


def test_a_clip_that_begins_in_motion_is_cut_at_its_first_halt():
    track = moving_right([0, 30, 40, 46, 56, 90], [2, 2, 0, 0, 2, 2])
    found = inner_boundaries(segments_of(track).bounds)
    assert score_boundaries([found], [np.array([[38, 48]])], 0).f1 == 1


@pytest.mark.parametrize("frames", [3, 8, 11, 40])
def test_a_short_clip_is_one_segment(frames):
    tracks, _ = stop_and_go(np.random.default_rng(8), [frames], [0, 0], noise_px=0)
    (bounds,) = segments_of(tracks).bounds.tolist()
    assert bounds[0] == 0 and bounds[1] >= 0.7 * frames - 1


def test_rest_before_belongs_to_the_first_segment_and_rest_behind_to_none():
    tracks, _ = stop_and_go(np.random.default_rng(9), [40], [100, 80])
    (bounds,) = segments_of(tracks).bounds.tolist()
    begin = 100 - PAPER.lead_frames
    assert begin <= bounds[0] <= begin + 10
    assert 130 <= bounds[1] <= 145


def test_long_motion_without_a_halt_is_cut_where_it_is_slowest():
    rate = 2 + np.cos(2 * np.pi * np.arange(320) / 320)  # slowest in the middle
    track = np.zeros((3, 320, 3)) + [50, 50, 1]
    track[..., 0] += np.cumsum(rate)
    (first, second) = segments_of(track).bounds.tolist()
    assert first[1] + 1 == second[0] and abs(second[0] - 160) <= 2


def test_what_is_not_seen_is_nan_and_what_rests_has_no_segment():
    still = np.full((4, 50, 3), 100.0)
    found = segments_of(still)
    assert found.bounds.shape == (0, 2) and found.bounds.dtype == np.int32
    np.testing.assert_allclose(found.speed, 0, atol=1e-12)
    unseen = segments_of(still, valid=np.zeros((4, 50), bool))
    assert unseen.bounds.shape == (0, 2) and np.isnan(unseen.speed).all()


def test_a_clip_of_one_frame_has_no_segment():
    found = segments_of(np.full((4, 1, 3), 100.0))
    assert found.bounds.shape == (0, 2) and np.isnan(found.acceleration).all()


def test_presets_are_those_of_the_paper():
    assert (PAPER.window, PAPER.order, PAPER.depth_weight) == (11, 2, 0.1)
    assert (PAPER.peak_height, PAPER.peak_prominence, PAPER.peak_distance) == (0.4, 0.4, 25)
    assert (PAPER.min_frames, PAPER.max_frames, PAPER.max_segments) == (25, 200, 6)
    assert (AGIBOT.min_frames, AGIBOT.max_frames, AGIBOT.max_segments) == (25, 300, 3)


@settings(max_examples=80)
@given(
    seed=st.integers(0, 10**6),
    moves=st.lists(st.integers(5, 260), min_size=1, max_size=6),
    config=st.sampled_from([PAPER, AGIBOT, SHORT]),
    unseen=st.floats(0, 0.3),
    data=st.data(),
)
def test_segments_are_in_order_without_gaps_and_of_allowed_length(
    seed, moves, config, unseen, data
):
    rests = data.draw(st.lists(st.integers(0, 40), min_size=len(moves) + 1, max_size=9))
    rng = np.random.default_rng(seed)
    tracks, _ = stop_and_go(rng, moves, rests, points=4, noise_px=1.0)
    valid = rng.random(tracks.shape[:2]) >= unseen
    found = segments_of(tracks, config, valid)
    bounds, frames = found.bounds, tracks.shape[1]
    assert found.speed.shape == found.acceleration.shape == (frames,)
    if not len(bounds):
        assert frames < 12 or unseen > 0
        return
    lengths = bounds[:, 1] - bounds[:, 0] + 1
    assert bounds[0, 0] >= 0 and bounds[-1, 1] < frames
    assert (bounds[1:, 0] == bounds[:-1, 1] + 1).all()
    assert (lengths <= config.max_frames).all()
    assert len(bounds) == 1 or (lengths >= config.min_frames).all()
    assert len(bounds) <= max(config.max_segments, -(-lengths.sum() // config.max_frames))


GOOD = np.full((3, 30, 3), 100.0)


@pytest.mark.parametrize(
    "tracks, valid, size, error, message",
    [
        (np.zeros((0, 30, 3)), np.zeros((0, 30), bool), (640, 480), DataError, "at least one"),
        (np.zeros((3, 0, 3)), np.zeros((3, 0), bool), (640, 480), DataError, "at least one"),
        (GOOD[..., :2], np.ones((3, 30), bool), (640, 480), ShapeError, r"expected \(P, T, 3\)"),
        (GOOD, np.ones((3, 29), bool), (640, 480), ShapeError, r"expected \(P, T, 3\)"),
        (GOOD * np.nan, np.ones((3, 30), bool), (640, 480), DataError, "mark it as not valid"),
        (GOOD, np.ones((3, 30), bool), (0, 480), ConfigError, "image 0x480"),
    ],
)
def test_bad_input_is_named(tracks, valid, size, error, message):
    with pytest.raises(error, match=message):
        motion_segments(tracks, valid, *size)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"window": 10}, "window 10 must be odd"),
        ({"window": 3, "order": 3}, "longer than order 3"),
        ({"order": 1}, "at least 2"),
        ({"peak_height": 1.5}, "between 0 and 1"),
        ({"min_frames": 120}, "at least twice"),
        ({"max_segments": 0}, "max_segments 0"),
        ({"peak_distance": 0}, "peak_distance 0"),
        ({"lead_frames": -1}, "lead_frames"),
        ({"rest_speed": 0.0}, "rest_speed 0.0"),
    ],
)
def test_settings_check_themselves(change, message):
    with pytest.raises(ConfigError, match=message):
        SegmentSettings(**change)
