# SPDX-License-Identifier: Apache-2.0
"""The numbers and words of a segment's motion say where it went in the picture, and no more."""

import numpy as np
import pytest

from mu0_core.errors import DataError, ShapeError
from mu0_core.trace_extract.captioning.motion_words import motion_words
from mu0_core.trace_extract.captioning.segment_motion import (
    SegmentMotion,
    moves_in_segment,
    segment_motion,
)

WIDTH = 640


def cloud(points=10, frames=21, seed=0):
    """Return resting points (P, T, 3) around the middle of the picture at 1 m."""
    rng = np.random.default_rng(seed)
    start = rng.uniform([280, 200, 0.95], [360, 280, 1.05], (points, 3))
    return np.repeat(start[:, None], frames, axis=1)


def moved(by, **options):
    """Return a cloud that moves by (px, px, share of its depth) in even steps."""
    tracks = cloud(**options)
    share = np.linspace(0, 1, tracks.shape[1])[:, None]
    tracks[..., :2] += share * np.array(by[:2])
    tracks[..., 2:] *= 1 + share * by[2]
    return tracks


def turned(angle_rad, **options):
    """Return a cloud that turns about its own middle, clockwise in the picture."""
    tracks = cloud(**options)
    middle = tracks[:, 0, :2].mean(axis=0)
    for k, angle in enumerate(np.linspace(0, angle_rad, tracks.shape[1])):
        c, s = np.cos(angle), np.sin(angle)
        tracks[:, k, :2] = (tracks[:, 0, :2] - middle) @ np.array([[c, s], [-s, c]]) + middle
    return tracks


def motion_of(tracks, first=0, last=None, valid=None):
    valid = np.ones(tracks.shape[:2], bool) if valid is None else valid
    last = tracks.shape[1] - 1 if last is None else last
    return segment_motion(tracks, valid, first, last, WIDTH)


def words_of(tracks, **options):
    words = motion_words(motion_of(tracks, **options))
    return words.after(words.third)


@pytest.mark.parametrize(
    "by, sentence",
    [
        ((96, 0, 0), "moves to the right in the picture"),
        ((-96, 0, 0), "moves to the left in the picture"),
        ((0, 96, 0), "moves down in the picture"),
        ((0, -96, 0), "moves up in the picture"),
        ((0, 0, 0.15), "moves away from the camera"),
        ((0, 0, -0.15), "moves towards the camera"),
        ((20, 0, 0), "moves a little to the right in the picture"),
        ((-320, 0, 0), "moves a long way to the left in the picture"),
        ((-96, -80, 0), "moves to the left and up in the picture"),
        ((80, 96, 0), "moves down and to the right in the picture"),
        ((96, 0, -0.12), "moves to the right in the picture and towards the camera"),
        ((2, 1, 0), "moves a little"),
        ((0, 0, 0), "moves a little"),
    ],
)
def test_directions_are_those_of_the_picture(by, sentence):
    assert words_of(moved(by)) == sentence


@pytest.mark.parametrize(
    "angle_deg, sentence",
    [(60, "turns clockwise in the picture"), (-60, "turns anticlockwise in the picture")],
)
def test_a_clear_turn_is_said(angle_deg, sentence):
    motion = motion_of(turned(np.radians(angle_deg)))
    assert motion.turn_rad == pytest.approx(np.radians(angle_deg))
    words = motion_words(motion)
    assert words.after(words.third) == sentence


def test_a_turn_on_the_way_is_said_besides():
    tracks = turned(1.0)
    tracks[..., 0] += np.linspace(0, 150, tracks.shape[1])
    assert words_of(tracks) == "moves to the right in the picture while turning clockwise"


def test_points_that_move_apart_are_no_turn():
    rng = np.random.default_rng(1)
    tracks = cloud()
    tracks[..., :2] += np.linspace(0, 1, 21)[:, None] * rng.uniform(-90, 90, (10, 1, 2))
    assert np.isnan(motion_of(tracks).turn_rad)


def test_few_points_say_nothing_about_a_turn():
    assert np.isnan(motion_of(turned(1.0, points=5)).turn_rad)


def test_what_comes_back_has_no_direction():
    there = moved((150, 0, 0))
    tracks = np.concatenate([there, there[:, ::-1]], axis=1)
    assert motion_of(tracks).way_px == pytest.approx(150)
    assert words_of(tracks) == "moves there and back"


def test_points_that_rest_do_not_dilute_the_motion():
    tracks = np.concatenate([moved((128, 0, 0)), cloud(points=20, seed=1)])
    motion = motion_of(tracks)
    assert motion.right == pytest.approx(0.2) and motion.way_px == pytest.approx(128)


def test_points_that_move_are_told_from_those_that_rest():
    tracks = np.concatenate([moved((128, 0, 0)), moved((0, 0, 0.2)), cloud(points=5, seed=1)])
    valid = np.ones(tracks.shape[:2], bool)
    valid[0, 1:] = False
    moves = moves_in_segment(tracks, valid, 0, 20, WIDTH)
    assert moves.tolist() == [False] + [True] * 19 + [False] * 5
    assert not moves_in_segment(tracks, valid, 4, 4, WIDTH).any()


def test_only_the_frames_of_the_segment_count():
    tracks = np.concatenate([moved((100, 0, 0)), moved((0, 60, 0)) + [100, 0, 0]], axis=1)
    assert motion_of(tracks, last=20).right == pytest.approx(100 / WIDTH)
    second = motion_of(tracks, first=21, last=41)
    assert (second.right, second.down) == (pytest.approx(0), pytest.approx(60 / WIDTH))


def test_a_point_counts_from_where_it_is_first_seen():
    tracks = moved((200, 0, 0))
    valid = np.ones(tracks.shape[:2], bool)
    valid[:, :10] = False
    tracks[~valid] = np.nan
    assert motion_of(tracks, valid=valid).right == pytest.approx(100 / WIDTH)


def test_without_a_point_seen_twice_nothing_is_known():
    valid = np.zeros((10, 21), bool)
    valid[:, 4] = True
    assert motion_of(cloud(), valid=valid) is None
    assert motion_of(cloud(), first=4, last=4) is None
    words = motion_words(None)
    assert words.after(words.base) == "move"


def test_verbs_agree_with_their_form():
    turn = motion_words(SegmentMotion(0, 0, 0, 9, False, 1.0))
    assert (turn.base, turn.third, turn.gerund) == ("turn", "turns", "turning")


@pytest.mark.parametrize(
    "tracks, valid, first, last, error, message",
    [
        (cloud()[..., :2], np.ones((10, 21), bool), 0, 5, ShapeError, r"expected \(P, T, 3\)"),
        (cloud(), np.ones((10, 20), bool), 0, 5, ShapeError, r"expected \(P, T, 3\)"),
        (cloud(), np.ones((10, 21), bool), 5, 21, DataError, r"frames 5..21: the clip has 0..20"),
        (cloud(), np.ones((10, 21), bool), 5, 4, DataError, r"frames 5..4"),
        (cloud() * [1, 1, 0], np.ones((10, 21), bool), 0, 5, DataError, "no positive depth"),
        (cloud() * np.nan, np.ones((10, 21), bool), 0, 5, DataError, "no positive depth"),
    ],
)
def test_bad_input_is_named(tracks, valid, first, last, error, message):
    with pytest.raises(error, match=message):
        segment_motion(tracks, valid, first, last, WIDTH)
