# SPDX-License-Identifier: Apache-2.0
"""Films: complete, repeatable, whole or absent, and as long as asked for."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mu0_core.errors import ConfigError, DataError, KinematicsError, SimulationError
from mu0_core.simulation import film as film_module
from mu0_core.simulation.film import FilmSettings, film, film_name
from mu0_core.simulation.film_folder import DEPTH_UNIT_M, FilmWriter
from mu0_core.simulation.film_truth import load_truth
from mu0_core.simulation.world import TableWorld

SMALL = {"width": 96, "height": 72}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "one"
    film(folder, "press_button", 49_000, FilmSettings("moving", frames=80, fps=5, **SMALL))
    return folder


def read(folder: Path, kind: str, frame: int) -> np.ndarray:
    return cv2.imread(str(folder / kind / f"{frame:06d}.png"), cv2.IMREAD_UNCHANGED)


def test_the_folder_is_complete(folder):
    for kind in ("color", "depth", "truth/depth", "truth/bodies"):
        names = sorted(path.name for path in (folder / kind).iterdir())
        assert names == [f"{k:06d}.png" for k in range(80)]
    assert read(folder, "color", 7).shape == (72, 96, 3)
    assert read(folder, "depth", 7).dtype == np.uint16
    lens = json.loads((folder / "intrinsics.json").read_text())
    assert lens["depth_unit_m"] == DEPTH_UNIT_M and lens["fps"] == 5
    assert (lens["width"], lens["height"]) == (96, 72) and lens["cx"] == 47.5
    np.testing.assert_allclose(np.loadtxt(folder / "stamps.txt"), np.arange(80) / 5, atol=2e-3)
    assert not list(folder.parent.glob(".*"))


def test_it_starts_with_its_task_and_goes_on_with_others(folder):
    texts = json.loads((folder / "texts.json").read_text())
    segments = load_truth(folder).segments
    assert texts[0]["first"] == 0 and texts[0]["text"] == "press the button"
    assert (folder / "description.txt").read_text() == "press the button\n"
    assert segments["tasks"][0]["achieved"] is True and len(texts) > 1
    for spans in (texts, segments["tasks"], segments["rounds"]):
        edges = [edge for span in spans for edge in (span["first"], span["last"] + 1)]
        assert edges == sorted(edges) and edges[-1] <= 80
        assert all(span["first"] <= span["last"] for span in spans)
    assert segments["tasks"][-1]["achieved"] is None  # cut off
    starts = {s["first"] for s in segments["tasks"] + segments["rounds"]}
    assert set(segments["boundaries"]) == starts - {0}


def test_motion_in_the_truth_is_when_bodies_move(folder):
    truth = load_truth(folder)
    step_m = np.linalg.norm(np.diff(truth.body_poses[:, :, :3, 3], axis=0), axis=-1).max(axis=1)
    moves = np.zeros(79, bool)
    for first, last in truth.segments["motion"]:
        moves[first:last] = True
    assert moves.any() and not moves.all()
    assert step_m[moves].min() > 0.01 / 5 > step_m[~moves].max()


def test_sensor_depth_is_the_exact_depth_within_its_noise(folder):
    truth = load_truth(folder)
    for frame in (0, 40, 79):
        exact, found = truth.depth_m(frame), read(folder, "depth", frame) * DEPTH_UNIT_M
        seen = found > 0
        error = (found - exact)[seen] / exact[seen] ** 2
        assert 0.0010 < error.std() < 0.0020 and 0.005 < 1 - seen.mean() < 0.25


def test_the_camera_moves_and_the_recorded_pose_is_the_picture_s(folder):
    truth = load_truth(folder)
    assert np.ptp(truth.T_base_camera[:, :3, 3], axis=0).min() > 0.02
    world = TableWorld(**SMALL, texture_seed=49_000)
    try:
        world.reset(49_000)
        world.set_camera(truth.T_base_camera[0])
        exact = world.render().depth_m
        np.testing.assert_allclose(truth.depth_m(0), exact, atol=6e-5)
        np.testing.assert_array_equal(truth.bodies(0), world.render_body_ids())
    finally:
        world.close()


def test_a_film_follows_from_its_arguments_and_a_static_camera_stands_still(tmp_path):
    settings = FilmSettings(frames=6, **SMALL)
    for name in ("a", "b"):
        film(tmp_path / name, "push_left", 3, settings)
    film(tmp_path / "c", "push_left", 4, settings)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*")]
    same = [(tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files]
    assert len(files) > 24 and all(same)
    assert (read(tmp_path / "a", "color", 0) != read(tmp_path / "c", "color", 0)).any()
    cameras = load_truth(tmp_path / "a").T_base_camera
    np.testing.assert_array_equal(cameras, np.broadcast_to(cameras[:1], cameras.shape))


def test_without_noise_and_texture_the_pictures_are_the_world_s(tmp_path):
    film(
        tmp_path / "a", "push_left", 3, FilmSettings(frames=1, noise=None, textured=False, **SMALL)
    )
    world = TableWorld(**SMALL)
    try:
        world.reset(3)
        world.set_camera(world.T_base_camera)
        frame = world.render()
    finally:
        world.close()
    np.testing.assert_array_equal(read(tmp_path / "a", "color", 0)[..., ::-1], frame.rgb)
    np.testing.assert_allclose(
        read(tmp_path / "a", "depth", 0) * DEPTH_UNIT_M, frame.depth_m, atol=5.1e-4
    )


def test_when_the_expert_fails_the_arm_moves_freely_and_the_film_is_filled(tmp_path, monkeypatch):
    def fail(world: TableWorld, task: str, *, on_look) -> bool:
        on_look()
        raise KinematicsError("out of reach")

    monkeypatch.setattr(film_module, "demonstrate", fail)
    film(tmp_path / "a", "stack_cubes", 3, FilmSettings(frames=30, fps=2, **SMALL))
    truth = load_truth(tmp_path / "a")
    assert all(task["achieved"] is False for task in truth.segments["tasks"])
    assert json.loads((tmp_path / "a" / "texts.json").read_text()) == []
    assert (tmp_path / "a" / "description.txt").read_text().startswith("stack the")
    tip = truth.body_poses[:, truth.body_names.index("fr3_hand_tcp"), :3, 3]
    assert np.ptp(tip, axis=0).max() > 0.1 and tip[:, 2].min() > 0.15


def test_an_interrupted_film_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(film_module, "demonstrate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        film(tmp_path / "a", "stack_cubes", 3, FilmSettings(frames=5, **SMALL))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="No space left"):
        film(tmp_path / "a", "stack_cubes", 3, FilmSettings(frames=5, **SMALL))
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made"):
        film(tmp_path / "file" / "a", "stack_cubes", 3, FilmSettings(frames=1, **SMALL))


def test_a_film_is_never_overwritten(folder):
    before = (folder / "stamps.txt").read_bytes()
    with pytest.raises(DataError, match="exists"):
        film(folder, "press_button", 49_000, FilmSettings(frames=1, **SMALL))
    with pytest.raises(DataError, match="exists"):
        FilmWriter(folder)
    assert (folder / "stamps.txt").read_bytes() == before


def test_an_unknown_task_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(SimulationError, match="juggle"):
        film(tmp_path / "a", "juggle", 3, FilmSettings())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"camera": "flying"}, "flying"),
        ({"frames": 0}, "frames 0"),
        ({"fps": 1000}, "fps 1000"),
        ({"width": 4000}, "4000x480"),
        ({"embodiment": "foot"}, "foot"),
        ({"embodiment": "hand"}, "films of a hand are single"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        FilmSettings(**values)


def test_a_film_is_named_after_what_it_shows():
    names = [
        film_name(FilmSettings(**values), "cube_in_bowl", 49_000)
        for values in ({}, {"single": True}, {"single": True, "embodiment": "hand"})
    ]
    assert names[0] == "static_cube_in_bowl_49000"
    assert names[1:] == ["arm_static_cube_in_bowl_49000", "hand_static_cube_in_bowl_49000"]


def test_a_single_film_ends_with_its_task(tmp_path):
    film(tmp_path / "a", "press_button", 49_000, FilmSettings(frames=99, single=True, **SMALL))
    truth = load_truth(tmp_path / "a")
    (task,) = truth.segments["tasks"]
    assert task["achieved"] is True and 20 < len(truth) < 99
    assert len(truth) - 1 - task["last"] <= 1
    (text,) = json.loads((tmp_path / "a" / "texts.json").read_text())
    assert (text["first"], text["last"]) == (task["first"], task["last"])


def test_a_single_film_that_is_too_short_for_its_task_is_refused(tmp_path):
    settings = FilmSettings(frames=5, single=True, **SMALL)
    with pytest.raises(SimulationError, match="not over after 5 frames"):
        film(tmp_path / "a", "press_button", 49_000, settings)
    assert not list(tmp_path.iterdir())


def test_a_single_film_whose_task_fails_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(film_module, "demonstrate", lambda world, task, on_look: False)
    settings = FilmSettings(frames=50, single=True, **SMALL)
    with pytest.raises(SimulationError, match="was not achieved; film another seed"):
        film(tmp_path / "a", "stack_cubes", 3, settings)
    assert not list(tmp_path.iterdir())
