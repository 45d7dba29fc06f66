# SPDX-License-Identifier: Apache-2.0
"""What is evaluated: always the same points, right truth, and an account of what is left out."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mu0_core.data.cameras import read_intrinsics
from mu0_core.data.episode import EpisodeReader
from mu0_core.errors import ConfigError, DataError
from mu0_core.evaluation.episodes.settings import EvaluateSettings
from mu0_core.geometry import camera
from mu0_core.testing.synthetic_episode import write_episode


def test_truth_is_what_the_episode_says(read, episodes):
    found = read(episodes)
    assert len(found.scenes) == 24 and not found.rejected
    scene = found.scenes[5]
    episode = EpisodeReader(scene.directory)
    slot = episode.slot(scene.slot)
    assert slot.frame == scene.frame and slot.is_moving[scene.rows].all()
    assert len(scene) == 4 and scene.instruction in ("move up", "move up slowly")
    pixels = camera.uv_to_pixels(scene.truth[..., :2], *episode.image_size) + 0.5  # from a corner
    np.testing.assert_allclose(pixels, slot.future[scene.rows, 1:9, :2], atol=1e-4)
    np.testing.assert_array_equal(scene.truth[..., 2], slot.future[scene.rows, 1:9, 2])
    np.testing.assert_allclose(scene.query + scene.step_back, 2 * scene.query - scene.truth[:, 0],
                               atol=2e-3)  # even motion, half precision  # fmt: skip


def test_points_depend_on_the_episode_alone(read, episodes, tmp_path):
    whole = {(s.directory.name, s.frame): s for s in read(episodes).scenes}
    write_episode(tmp_path / "moved" / "episode3", 3)
    for scene in [*read(tmp_path / "moved").scenes, *read(episodes, max_slots=5).scenes]:
        other = whole[scene.directory.name, scene.frame]
        np.testing.assert_array_equal(scene.rows, other.rows)
        assert (scene.key, scene.instruction) == (other.key, other.instruction)
    again = {(s.directory.name, s.frame): s for s in read(episodes, seed=1).scenes}
    assert any(not np.array_equal(again[k].rows, whole[k].rows) for k in whole)


def test_slots_follow_the_protocol(read, episodes):
    headline = read(episodes, slots="headline").scenes
    assert [s.slot for s in headline] == [3] * 6  # shorter than the fifth: the last one
    assert len(read(episodes, max_slots=7).scenes) == 7


def spoil(folder, name, change):
    path = folder / name
    array = np.load(path)
    np.save(path, change(array))


def test_a_broken_episode_is_listed_and_the_others_go_on(read, copy):
    (copy / "episode0/samples/valid_steps.npy").unlink()
    spoil(copy / "episode1", "samples/traj.npy", lambda a: np.where(a > 0, np.nan, a))
    spoil(copy / "episode2", "samples/traj_history.npy", lambda a: a[:, :, :2])
    np.savez(copy / "episode3/cameras.npz", intrinsics=np.zeros((4, 3, 3)))
    found = read(copy)
    assert {s.directory.name for s in found.scenes} == {"episode4", "episode5"}
    reasons = {path.name: why for path, why in found.rejected.items()}
    for name, part in {"episode0": "valid_steps.npy: missing", "episode1": "NaN or \\+inf",
                       "episode2": r"traj_history.npy: \(40, 32, 2\)",
                       "episode3": "camera is not calibrated"}.items():  # fmt: skip
        assert re.search(part, reasons[name]), reasons[name]


def test_slots_without_motion_and_short_or_silent_points_are_counted(read, copy):
    spoil(copy / "episode0", "samples/is_moving.npy", np.zeros_like)
    (copy / "episode1/curated_training_texts.json").unlink()
    (copy / "episode2/cameras.npz").unlink()
    spoil(copy / "episode3", "samples/valid_steps.npy", lambda a: a & (np.arange(128) < 4))
    found = read(copy)
    assert found.left_out == {"no moving point": 4}
    text = "\n".join(found.notes)
    assert "4 of 20 slots have no instruction" in text
    assert "1 episodes without cameras.npz" in text
    assert "16 of 80 points have fewer than 10 valid steps" not in text  # horizon 8: all do
    assert "80 of 80 points have fewer than 10 valid steps" in text
    assert {s.intrinsics is None for s in found.scenes if s.directory.name == "episode2"} == {True}


def test_nothing_to_evaluate_is_an_error(read, copy):
    for k in range(6):
        spoil(copy / f"episode{k}", "samples/is_moving.npy", np.zeros_like)
    with pytest.raises(DataError, match="no usable slot.*no moving point"):
        read(copy)


def test_intrinsics_are_those_of_the_stored_images(tmp_path):
    folder = write_episode(tmp_path / "e", 0)
    lens = EpisodeReader(folder).intrinsics()[2]
    assert (lens.width, lens.height, lens.cx) == (48, 36, 23.5)
    assert lens.fx == pytest.approx(57.6)
    matrices = np.load(folder / "cameras.npz")["intrinsics"]
    np.savez(folder / "cameras.npz", intrinsics=matrices, height=72, width=96)
    half = read_intrinsics(folder, 4, (48, 36))[0]
    assert half == EpisodeReader(folder).intrinsics()[0] and half.fx == pytest.approx(28.8)
    for content, message in (
        ({"intrinsics": matrices[:3]}, r"intrinsics \(3, 3, 3\), expected \(4, 3, 3\)"),
        ({"intrinsics": matrices * np.nan}, "not calibrated"),
        ({"K": matrices}, "cannot be read"),
    ):
        np.savez(folder / "cameras.npz", **content)
        with pytest.raises(DataError, match=message):
            read_intrinsics(folder, 4, (48, 36))
    (folder / "cameras.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="cannot be read"):
        read_intrinsics(folder, 4, (48, 36))
    (folder / "cameras.npz").unlink()
    with pytest.raises(DataError, match="missing"):
        read_intrinsics(folder, 4, (48, 36))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": 0}, "samples=0: expected 1..256"),
        ({"points": 257}, "points=257"),
        ({"slots": "some"}, "slots='some'"),
        ({"max_slots": 0}, "max_slots=0"),
        ({"horizons": ()}, r"horizons=\(\)"),
        ({"horizons": (8, 8)}, "rising"),
        ({"horizons": (0, 8)}, r"1\.\.127"),
        ({"horizons": (8, 128)}, r"1\.\.127"),
        ({"first_noise": 1.5}, "first_noise=1.5"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_settings_out_of_range_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        EvaluateSettings(**values)
