# SPDX-License-Identifier: Apache-2.0
"""The hand-held camera: smooth, within its bounds, and never without the table."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.geometry import camera, se3
from mu0_core.simulation.camera_motion import CameraMotion, HandHeldCamera
from mu0_core.simulation.layout import sample_layout
from mu0_core.types import CameraIntrinsics

TIMES_S = np.arange(0, 100, 0.1)
BY_DEFAULT = CameraMotion()


def path(seed: int, motion: CameraMotion = BY_DEFAULT) -> np.ndarray:
    hand = HandHeldCamera(sample_layout(seed), seed, motion)
    return np.stack([hand(t) for t in TIMES_S])


@pytest.mark.parametrize("seed", [0, 1, 49_000, 51_234])
def test_it_goes_as_far_as_its_settings_say_and_no_farther(seed):
    poses = path(seed)
    away = np.abs(poses[:, :3, 3] - sample_layout(seed).camera_position_m).max(axis=0)
    assert np.all((away > 0.058) & (away < 0.101))
    np.testing.assert_allclose(
        poses[:, :3, :3] @ np.swapaxes(poses[:, :3, :3], 1, 2),
        np.broadcast_to(np.eye(3), (len(poses), 3, 3)),
        atol=1e-12,
    )


@pytest.mark.parametrize("seed", [0, 1, 49_000, 51_234])
def test_things_on_the_table_stay_in_the_picture(seed):
    layout = sample_layout(seed)
    focal = 240 / np.tan(np.radians(layout.camera_fovy_deg) / 2)
    lens = CameraIntrinsics(640, 480, focal, focal, 319.5, 239.5)
    xy = np.vstack([layout.cube_xy_m, layout.bowl_xy_m, layout.plate_xy_m, layout.button_xy_m])
    things = np.column_stack([xy, np.zeros(6)])
    for pose in path(seed)[::10]:
        uv = camera.project(se3.apply(se3.inverse(pose), things), lens)[:, :2]
        assert np.all((uv > 0) & (uv < [640, 480]))


def test_it_moves_smoothly():
    poses = path(3)
    speed = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1) / 0.1
    assert 0.01 < speed.mean() and speed.max() < 0.25
    assert np.abs(np.diff(speed)).max() / 0.1 < 0.5  # m/s²


def test_it_follows_from_its_seed():
    np.testing.assert_array_equal(path(3), path(3))
    assert np.abs(path(3) - path(4)).max() > 0.01


def test_without_excursion_it_stands_where_the_layout_has_it():
    poses = path(3, CameraMotion(travel_m=(0, 0), shake_deg=(0, 0)))
    np.testing.assert_allclose(poses, np.broadcast_to(poses[:1], poses.shape), atol=1e-12)
    np.testing.assert_allclose(poses[0, :3, 3], sample_layout(3).camera_position_m)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"travel_m": (0.1, 0.05)}, "travel_m"),
        ({"shake_deg": (-1, 2)}, "shake_deg"),
        ({"band_hz": (0, 1)}, "band_hz"),
        ({"waves": 0}, "waves"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        CameraMotion(**values)
