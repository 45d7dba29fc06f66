# SPDX-License-Identifier: Apache-2.0
"""Which lessons are learned and which are measured on; what there is already is left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mu0_core.data.episode import EpisodeReader
from mu0_core.errors import ConfigError, DataError
from mu0_core.testing.synthetic_episode import FRAMES, write_episode
from mu0_core.training.adaptation.lesson_sets import build_sets
from mu0_core.training.adaptation.lessons import LessonForm
from mu0_core.training.adaptation.recordings import Recording
from mu0_core.training.adaptation.settings import Adaptation
from mu0_core.training.episodes.sources import read_split

FORM = LessonForm(history_len=8, future_len=32, side_px=32)
SETTINGS = Adaptation(views=1)


def recordings(folder: Path, count: int) -> list[Recording]:
    episodes = [write_episode(folder / f"film{k}", k) for k in range(count)]
    return [Recording(p.name, p, "push it", "abc", {"short": 3}) for p in episodes]


def old(folder: Path, count: int) -> list[Path]:
    return [write_episode(folder / f"old{k}", 50 + k) for k in range(count)]


def sets_of(tmp_path, news: int, olds: int, **changes):
    settings = replace(SETTINGS, **changes)
    return build_sets(
        recordings(tmp_path / "r", news), old(tmp_path / "o", olds), tmp_path / "l", FORM, settings
    )


def test_the_last_recordings_are_measured_on_and_not_learned_from(tmp_path):
    sets = sets_of(tmp_path, 5, 0, held_out=2)
    assert [p.name for p in sets.new] == ["film0", "film1", "film2"]
    assert [p.name for p in sets.measured] == ["film3", "film4"]
    assert not sets.old and not sets.measured_old
    assert sets.slots() == 3 * FRAMES


def test_at_least_one_recording_is_learned_from(tmp_path):
    sets = sets_of(tmp_path, 2, 0, held_out=4)
    assert [p.name for p in sets.new] == ["film0"] and len(sets.measured) == 1


def test_a_single_recording_is_learned_from_and_measured_on(tmp_path):
    sets = sets_of(tmp_path, 1, 0)
    assert sets.new[0].name == sets.measured[0].name and sets.new != sets.measured
    split = read_split(sets.write_split(tmp_path / "split.json", sets.measured))
    assert len(split.train) == len(split.held_out) == 1


def test_old_episodes_fill_their_share_and_some_are_only_measured_on(tmp_path):
    sets = sets_of(tmp_path, 3, 20, replay_share=0.5, replay_measured=4)
    assert len(sets.measured_old) == 4
    assert len(sets.old) == 2  # as many slots as the two recordings that are learned from
    assert not {p.name for p in sets.old} & {p.name for p in sets.measured_old}
    more = sets_of(tmp_path / "more", 3, 20, replay_share=0.75, replay_measured=4)
    assert len(more.old) == 6


def test_few_old_episodes_are_not_all_measured_on(tmp_path):
    sets = sets_of(tmp_path, 2, 3, replay_measured=10)
    assert len(sets.measured_old) == 1 and len(sets.old) == 2


def test_one_old_episode_is_too_few(tmp_path):
    with pytest.raises(DataError, match="one old episode; at least 2"):
        sets_of(tmp_path, 2, 1)


def test_lessons_show_what_moves_and_what_rests(tmp_path):
    sets = sets_of(tmp_path, 2, 0)
    for folder in (*sets.new, *sets.measured):
        slot = EpisodeReader(folder, future_len=32).slot(0)
        goes = np.abs(slot.future[:, 10] - slot.future[:, 0]).max(axis=1) > 0
        assert goes.any() and not goes.all() and slot.is_moving.all()


def test_the_split_of_a_training_names_every_lesson_once(tmp_path):
    sets = sets_of(tmp_path, 3, 6)
    path = sets.write_split(tmp_path / "split.json", sets.measured_old)
    split = read_split(path)
    assert len(split.train) == len(sets.new) + len(sets.old)
    assert set(split.held_out) == {p.resolve() for p in sets.measured_old}
    assert json.loads(path.read_text())["held_out"]


def test_lessons_that_are_there_are_not_made_again(tmp_path):
    some, olds = recordings(tmp_path / "r", 2), old(tmp_path / "o", 4)
    first = build_sets(some, olds, tmp_path / "l", FORM, SETTINGS)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "l").rglob("*.npy")}
    again = build_sets(some, olds, tmp_path / "l", FORM, SETTINGS)
    assert first == again
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "l").rglob("*.npy")}


def test_a_recording_without_a_usable_slot_says_what_was_left_out(tmp_path, monkeypatch):
    from mu0_core.training.adaptation import lesson_sets

    monkeypatch.setattr(lesson_sets, "make_lessons", lambda *args: 0)
    some = recordings(tmp_path / "r", 2)
    for _ in range(2):  # also when it is known already
        with pytest.raises(DataError, match="film0: no usable slot after the extraction.*3 short"):
            build_sets(some, [], tmp_path / "l", FORM, SETTINGS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"held_out": 0}, "held_out 0"),
        ({"views": 0}, "views 0"),
        ({"replay_share": 1.0}, "replay_share 1.0"),
        ({"replay_measured": 0}, "replay_measured 0"),
    ],
)
def test_impossible_settings_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        Adaptation(**values)
