# SPDX-License-Identifier: Apache-2.0
"""Imagined episodes: exact, reproducible, and unlike the training where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.data.episode import EpisodeReader
from mu0_core.errors import ConfigError, SimulationError
from mu0_core.simulation.collection import (
    Outcome,
    check_evaluation_seeds,
    collect_episode,
    is_collected,
)
from mu0_core.simulation.imagined_episode import ImaginedEpisodes, ImaginedSettings
from mu0_core.simulation.layout import CUBE_COLOURS, UNSEEN_CUBE_COLOURS, sample_layout
from mu0_core.simulation.unseen import UNSEEN, make_unseen
from mu0_core.simulation.world import TableWorld

SEEDS = (49_000, 49_001, 49_003)


@pytest.fixture(scope="module")
def world():
    world = TableWorld(width=320, height=240)
    yield world
    world.close()


@pytest.fixture(scope="module")
def episodes(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagined")
    maker = ImaginedEpisodes(world, ImaginedSettings())
    for seed in SEEDS:
        assert collect_episode(maker, folder, seed) is Outcome.RECORDED
    return [EpisodeReader(folder / f"{seed:06d}") for seed in SEEDS]


def slots(episodes):
    return [(episode, episode.slot(k)) for episode in episodes for k in range(len(episode))]


def test_every_row_moves_and_starts_in_the_picture(episodes):
    for episode, slot in slots(episodes):
        assert slot.is_moving.all() and slot.valid_future[:, 0].all()
        start = slot.future[:, 0]
        assert (start[:, :2] >= 0).all() and (start[:, :2] <= episode.image_size).all()


def test_points_lie_on_the_surface_that_the_picture_shows(episodes):
    close = []
    for episode, slot in slots(episodes):
        column, row = slot.future[:, 0, :2].astype(int).T
        seen = episode.depth_m[slot.frame][row, column].astype(float)
        close.append(np.abs(seen - slot.future[:, 0, 2]) < 0.02)
    assert np.concatenate(close).mean() > 0.85  # the others are at an edge


def test_paths_have_equal_steps(episodes):
    for episode, slot in slots(episodes):
        scaled = slot.future / np.array([*episode.image_size, 1.0])
        valid = slot.valid_future.all(axis=0)
        step = np.linalg.norm(np.diff(scaled[:, valid], axis=1), axis=-1)
        assert step.max() < 0.08 and np.median(step.max(axis=0)) > 0.03  # chords of 0.05


def test_some_pictures_are_on_the_way_and_have_a_past(episodes):
    past = [slot.valid_history[:, 1].any() for _, slot in slots(episodes)]
    assert 0.2 < np.mean(past) < 0.6


def test_each_picture_has_a_sentence(episodes):
    for episode, slot in slots(episodes):
        assert [len(texts) for texts in episode.captions.at(slot.frame)] == [3]


def test_sentences_about_one_picture_ask_for_different_things(episodes):
    resting = [
        (episode.images[slot.frame].tobytes(), episode.captions.at(slot.frame)[0][0])
        for episode, slot in slots(episodes)
        if not slot.valid_history[:, 1].any()
    ]
    assert len(set(resting)) == len(resting) > len({image for image, _ in resting}) == len(SEEDS)


def test_the_seed_decides(world, tmp_path, episodes):
    maker = ImaginedEpisodes(world, ImaginedSettings())
    maker.write(SEEDS[1], tmp_path / "again")
    one, two = episodes[1], EpisodeReader(tmp_path / "again")
    np.testing.assert_array_equal(one.images, two.images)
    np.testing.assert_array_equal(one.slot(0).future, two.slot(0).future)


def test_only_the_asked_tasks_are_told(world, tmp_path):
    settings = ImaginedSettings(tasks=("push_left", "push_right"), side_px=56)
    assert ImaginedEpisodes(world, settings).write(49_005, tmp_path / "pushes")
    episode = EpisodeReader(tmp_path / "pushes")
    for frame in episode.frame_indices:
        assert any(word in episode.captions.at(frame)[0][0] for word in ("left", "right"))


@pytest.mark.parametrize("kind", UNSEEN)
def test_unseen_scenes_differ_in_one_respect(kind):
    layout = sample_layout(52_000)
    other = make_unseen(layout, kind)
    assert other.colours == layout.colours if kind != "colours" else True
    same = {
        "colours": set(other.colours) <= set(CUBE_COLOURS),
        "shapes": other.round_cubes == layout.round_cubes,
        "camera": np.allclose(other.camera_position_m, layout.camera_position_m),
    }
    assert [name for name, kept in same.items() if not kept] == [kind]
    np.testing.assert_array_equal(other.cube_xy_m, layout.cube_xy_m)


def test_unseen_colours_are_seen_nowhere_else():
    assert not set(UNSEEN_CUBE_COLOURS) & set(CUBE_COLOURS)
    seen = np.array(list(CUBE_COLOURS.values()))
    for rgb in UNSEEN_CUBE_COLOURS.values():
        assert np.abs(seen - rgb).max(axis=1).min() > 0.2


def test_round_cubes_look_round(world):
    layout = sample_layout(52_001)
    pictures = []
    for shown in (layout, make_unseen(layout, "shapes"), layout):
        world.set_layout(shown)
        pictures.append(world.render().rgb.astype(int))
    box, round_one, again = pictures
    assert (np.abs(box - round_one) > 30).any(axis=-1).sum() > 20
    np.testing.assert_array_equal(box, again)  # and can be made square again


def test_bad_settings_and_seeds_are_named(tmp_path):
    with pytest.raises(SimulationError, match="unknown task 'fly'"):
        ImaginedSettings(tasks=("fly",))
    with pytest.raises(ConfigError, match="unseen 'weather': expected one of colours"):
        make_unseen(sample_layout(0), "weather")
    with pytest.raises(SimulationError, match="49999..50001 are not evaluation seeds"):
        check_evaluation_seeds(49_999, 3)
    assert list(check_evaluation_seeds(50_000, 2)) == [50_000, 50_001]


def test_a_seed_that_shows_nothing_is_marked(tmp_path):
    class Nothing:
        def write(self, seed, folder):
            return False

    assert collect_episode(Nothing(), tmp_path, 7) is Outcome.FAILED
    assert is_collected(tmp_path, 7)
    assert collect_episode(Nothing(), tmp_path, 7) is Outcome.PRESENT
