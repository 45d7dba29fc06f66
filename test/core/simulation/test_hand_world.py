# SPDX-License-Identifier: Apache-2.0
"""A hand does the task in sight of the camera, and there is no arm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mu0_core.errors import SimulationError
from mu0_core.simulation import scene
from mu0_core.simulation.film import FilmSettings, film
from mu0_core.simulation.film_truth import load_truth
from mu0_core.simulation.hand import FINGERS, PALM, THUMB
from mu0_core.simulation.hand_world import HandWorld
from mu0_core.simulation.tasks import targets_of

SETTINGS = FilmSettings(
    frames=120, width=96, height=72, textured=False, embodiment="hand", single=True
)
SEED = 40_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hand") / "film"
    film(folder, "cube_on_box", SEED, SETTINGS)
    return folder


def test_the_hand_is_seen_and_nothing_of_the_arm(folder):
    truth = load_truth(folder)
    seen = set()
    for frame in range(0, len(truth), 5):
        ids = truth.bodies(frame)
        seen |= {truth.body_names[k] for k in np.unique(ids[ids >= 0])}
    assert {PALM, THUMB, FINGERS} <= seen
    assert not [name for name in seen if name.startswith("fr3")]


def test_it_says_what_it_does_and_ends_when_that_is_done(folder):
    truth = load_truth(folder)
    texts = json.loads((folder / "texts.json").read_text())
    assert len(texts) == 1 and texts[0]["text"].endswith("cube on the box")
    assert texts[0]["text"] == (folder / "description.txt").read_text().strip()
    assert truth.segments["tasks"][0]["achieved"] is True
    assert 40 < len(truth) < 110


def test_the_cube_travels_in_the_hand_and_stays_on_the_box(folder):
    truth = load_truth(folder)
    world = HandWorld(width=64, height=48)
    try:
        world.reset(SEED)
        (cube,) = targets_of(world.layout, "cube_on_box")
        box, half = world.layout.button_xy_m, world.layout.cube_half_m[cube]
    finally:
        world.close()
    names = list(truth.body_names)
    cubes = truth.body_poses[:, names.index(scene.CUBES[cube]), :3, 3]
    hand = truth.body_poses[:, names.index(PALM), :3, 3]
    lifted = cubes[:, 2] > half + 0.02
    lifted[-10:] = False
    assert lifted.sum() > 10
    assert np.linalg.norm(cubes[lifted] - hand[lifted], axis=1).max() < 0.03
    np.testing.assert_allclose(cubes[-1], (*box, scene.BUTTON_TOP_M + half), atol=0.005)
    assert np.linalg.norm(hand[-1] - cubes[-1]) > 0.05


def test_thumb_and_fingers_close_around_what_they_hold(folder):
    truth = load_truth(folder)
    names = list(truth.body_names)
    thumb, fingers = (truth.body_poses[:, names.index(n), 1, 3] for n in (THUMB, FINGERS))
    gap = fingers - thumb
    assert gap.max() > gap.min() + 0.025 and gap.min() > 0.04  # never into the cube


def test_between_two_states_the_hand_is_on_its_way():
    world = HandWorld(width=64, height=48)
    try:
        world.reset(SEED)
        start = world.body_position_m(PALM)
        world._to = world._from.towards(world._from, 0.5)
        goal = world._shadow.tip_position_m() + (0.02, 0.0, 0.0)
        world._shadow.step(goal, 0.08)
        world._to = type(world._to).of(world._shadow)
        world._since_s = world.time_s
        world.step(0.05)
        np.testing.assert_allclose(world.body_position_m(PALM) - start, (0.01, 0, 0), atol=1e-9)
        world.step(0.05)
        np.testing.assert_allclose(world.body_position_m(PALM), goal, atol=1e-9)
        np.testing.assert_allclose(world.tip_position_m(), goal)
    finally:
        world.close()


def test_a_film_of_a_hand_follows_from_its_seed(folder, tmp_path):
    film(tmp_path / "again", "cube_on_box", SEED, SETTINGS)
    files = [p.relative_to(folder) for p in folder.rglob("*.png")]
    assert len(files) > 200
    for path in files[::7]:
        assert (folder / path).read_bytes() == (tmp_path / "again" / path).read_bytes()


def test_too_few_frames_leave_nothing(tmp_path):
    settings = FilmSettings(frames=9, width=64, height=48, embodiment="hand", single=True)
    with pytest.raises(SimulationError, match="not over after 9 frames"):
        film(tmp_path / "a", "cube_on_box", SEED, settings)
    assert not list(tmp_path.iterdir())
