# SPDX-License-Identifier: Apache-2.0
"""Lessons are episodes: what moves, what rests beside it, and the rest at the end."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.data.captions import CaptionEntry, Captions
from mu0_core.data.episode import EpisodeReader
from mu0_core.data.episode_writer import EpisodeWriter
from mu0_core.data.sampling import SamplingSettings, usable_slots
from mu0_core.errors import DataError
from mu0_core.testing.synthetic_episode import write_episode
from mu0_core.training.adaptation.lesson_rows import LessonSettings
from mu0_core.training.adaptation.lessons import LessonForm, make_lessons

FORM = LessonForm(history_len=8, future_len=32, side_px=64)
WIDTH, HEIGHT, FOCAL, FAR_M = 160, 120, 150.0, 1.0
BLOCKS = {"left": (30, 50), "right": (110, 60)}  # corners, px; 20 px wide, 6 cm high
FRAMES = 20


def table_episode(folder, moving="left", only_table=False):
    """A camera looks straight down at a table with two blocks, one of which moves to the right."""
    rgb = np.full((FRAMES, HEIGHT, WIDTH, 3), 90, np.uint8)
    depth = np.full((FRAMES, HEIGHT, WIDTH), FAR_M)
    corner = {name: np.tile(np.array(xy), (FRAMES, 1)) for name, xy in BLOCKS.items()}
    corner[moving][:, 0] += np.minimum(np.arange(FRAMES), 14) * 3
    for t in range(FRAMES):
        for name, (x, y) in ((n, c[t]) for n, c in corner.items()):
            depth[t, y : y + 20, x : x + 20] = FAR_M - 0.06
            rgb[t, y : y + 20, x : x + 20] = (200, 30, 30) if name == "left" else (30, 30, 200)
    lens = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
    captions = Captions((CaptionEntry(0, FRAMES - 1, ("slide it",)),))
    writer = EpisodeWriter(
        rgb, depth, np.tile(lens, (FRAMES, 1, 1)), np.tile(np.eye(4), (FRAMES, 1, 1)), captions
    )
    for t in range(0, 12, 2):
        start = corner[moving][t] + np.array([[4, 4], [12, 6], [8, 14]]) + 0.5
        left = 14 - t
        future = np.full((4, 40, 3), -np.inf)
        steps = np.minimum(np.arange(left + 1), left)[None, :, None] * np.array([3.0, 0, 0])
        future[:3, : left + 1] = np.column_stack([start, np.full(3, 0.94)])[:, None] + steps
        future[3, : left + 1] = [5.5, 5.5, FAR_M]  # the table, dragged along by an edge
        future[3, : left + 1, 0] += np.arange(left + 1) * 3
        moves = np.array([not only_table] * 3 + [True])
        writer.add_slot(t, future, future[:, :1], moves, np.array([1, 1, 1, 2]))
    writer.write(folder)
    return corner


@pytest.fixture
def lesson(tmp_path):
    corner = table_episode(tmp_path / "episode")
    count = make_lessons(
        tmp_path / "episode", tmp_path / "lesson", FORM, LessonSettings(), "push it", 0
    )
    return EpisodeReader(tmp_path / "lesson"), count, corner


def test_every_slot_has_the_moving_block_and_the_resting_one(lesson):
    reader, _, corner = lesson
    for k in range(6):
        slot = reader.slot(k)
        x = slot.future[:, 0, 0] / 64 * WIDTH
        moves = np.abs(slot.future[:, 10] - slot.future[:, 0]).max(axis=1) > 0.5
        here = corner["left"][2 * k, 0]
        assert moves.sum() == 3 and ((x[moves] >= here) & (x[moves] <= here + 20)).all()
        rests = x[~moves]
        assert len(rests) >= 5 and ((rests >= 110) & (rests <= 130)).all()
        assert slot.is_moving.all()  # all of it is learned
        assert slot.valid_future[:, 1:].sum(axis=1).min() == max(10, 14 - 2 * k)


def test_points_of_the_table_are_not_learned_however_they_seem_to_move(lesson):
    reader, _, _ = lesson
    for k in range(len(reader)):
        assert (reader.slot(k).future[:, 0, 2] < 0.95).all()


def test_behind_the_last_motion_everything_rests(lesson):
    reader, count, _ = lesson
    assert count == len(reader) == 10  # slots at 0, 2 … 10, rest at 12, 14, 16, 18
    for k in range(6, 10):
        slot = reader.slot(k)
        np.testing.assert_array_equal(slot.future[:, 1:11], np.repeat(slot.future[:, :1], 10, 1))


def test_every_slot_is_usable_for_a_training_and_says_the_sentence(lesson):
    reader, count, _ = lesson
    assert usable_slots(reader, SamplingSettings()) == list(range(count))
    assert all(reader.captions.at(k) == [("push it",)] for k in range(count))
    assert reader.images.shape == (count, 64, 64, 3)
    assert not reader.slot(0).valid_history[:, 1:].any()


def test_a_moved_view_shows_its_points_where_they_are(tmp_path):
    table_episode(tmp_path / "episode")
    form = LessonForm(8, 32, 160)
    make_lessons(tmp_path / "episode", tmp_path / "lesson", form, LessonSettings(), "x", 0, 3)
    reader = EpisodeReader(tmp_path / "lesson")
    assert len(reader) == 30
    red = []
    for k in range(18):
        slot = reader.slot(k)
        moves = np.abs(slot.future[:, 10] - slot.future[:, 0]).max(axis=1) > 0.5
        for column, row in np.floor(slot.future[moves, 0, :2]).astype(int):
            if 0 <= column < 160 and 0 <= row < 160:
                red.append(reader.images[k, row, column])
    red = np.array(red)
    assert len(red) > 45 and (red[:, 0] > 150).all() and (red[:, 2] < 80).all()
    focal = [lens.fx for lens in reader.intrinsics()]
    assert focal[0] == FOCAL and len(set(np.round(focal, 6))) > 10


def test_without_a_sentence_the_episode_s_own_is_kept(tmp_path):
    table_episode(tmp_path / "episode")
    make_lessons(tmp_path / "episode", tmp_path / "lesson", FORM, LessonSettings(), None, 0)
    assert EpisodeReader(tmp_path / "lesson").captions.at(0) == [("slide it",)]


def test_resting_rows_of_the_episode_itself_are_preferred(tmp_path):
    write_episode(tmp_path / "episode", 0)
    make_lessons(tmp_path / "episode", tmp_path / "lesson", FORM, LessonSettings(), None, 0)
    slot = EpisodeReader(tmp_path / "lesson").slot(0)
    assert {-1, 0, 1} == set(slot.cluster_ids.tolist())
    np.testing.assert_array_equal(
        slot.future[slot.cluster_ids == -1, 5], slot.future[slot.cluster_ids == -1, 0]
    )


def test_an_episode_in_which_nothing_on_the_table_moves_gives_no_lesson(tmp_path):
    table_episode(tmp_path / "episode", only_table=True)
    found = make_lessons(
        tmp_path / "episode", tmp_path / "lesson", FORM, LessonSettings(), None, 0
    )
    assert found == 0 and not (tmp_path / "lesson").exists()


def test_an_episode_shorter_than_the_model_s_horizon_is_named(tmp_path):
    write_episode(tmp_path / "episode", 0)
    form = LessonForm(8, 200, 64)
    with pytest.raises(DataError, match="128 columns, need 201"):
        make_lessons(tmp_path / "episode", tmp_path / "lesson", form, LessonSettings(), None, 0)
    assert not (tmp_path / "lesson").exists()
