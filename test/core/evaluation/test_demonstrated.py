# SPDX-License-Identifier: Apache-2.0
"""The true future of simulated tracks, overlays, and forecasts beside demonstrations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.evaluation.demonstrated import demonstrate
from mu0_core.evaluation.overlay import draw_paths, forecast_pixels
from mu0_core.evaluation.true_future import HORIZON, true_future
from mu0_core.geometry import camera
from mu0_core.simulation.world import TableWorld
from mu0_core.testing.fakes import FakeForecaster, FakeSelector
from mu0_core.types import CameraIntrinsics

CAMERA = CameraIntrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
SEED = 50_003


@pytest.fixture(scope="module")
def world() -> Iterator[TableWorld]:
    """A small camera is enough."""
    world = TableWorld(width=160, height=120)
    yield world
    world.close()


@given(st.integers(0, 2**31))
def test_metres_and_the_future_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracks = np.cumsum(rng.uniform(-0.02, 0.02, (12, 3, 3)), axis=0) + np.array([0.0, 0.0, 1.0])
    path, num_steps = true_future(tracks, CAMERA)
    assert path.shape == (3, 33, 3) and 0 <= num_steps <= HORIZON
    metres = camera.uvz_to_metres(path, CAMERA)
    np.testing.assert_allclose(metres[:, 0], tracks[0], atol=1e-9)
    np.testing.assert_allclose(camera.project(metres, CAMERA)[..., 2], path[..., 2], atol=1e-9)
    behind = path[:, num_steps + 2 :]
    np.testing.assert_allclose(behind, behind[:, :1].repeat(behind.shape[1], axis=1))


def test_future_of_what_stays_is_where_it_is() -> None:
    tracks = np.tile([[0.1, 0.0, 0.9], [0.0, 0.1, 1.1]], (7, 1, 1))
    path, num_steps = true_future(tracks, CAMERA)
    assert num_steps == 0
    np.testing.assert_allclose(path, path[:, :1].repeat(path.shape[1], axis=1))


def test_demonstrations_follow_each_other_in_one_scene(world: TableWorld) -> None:
    tasks = ["press_button", "push_left"]
    pairs = list(demonstrate(world, tasks, SEED, FakeSelector(), FakeForecaster(), max_points=64))
    assert [p.task for p in pairs] == tasks
    assert all(p.achieved for p in pairs)
    assert pairs[0].forecast.instruction != pairs[1].forecast.instruction
    for pair in pairs:
        assert pair.num_steps > 0
        picture = pair.picture()
        assert picture.shape == pair.frame.rgb.shape
        assert not np.array_equal(picture, pair.frame.rgb)
    errors = [p.average_error_m() for p in pairs]
    assert all(0.0 < e < 1.0 for e in errors if np.isfinite(e)) and np.isfinite(errors).any()


def test_pixels_of_a_straight_forecast_are_a_straight_line(world: TableWorld) -> None:
    world.reset(SEED)
    frame = world.render()
    query = FakeSelector().select(frame, 9)
    paths = forecast_pixels(FakeForecaster().forecast(frame, "go", query), frame.intrinsics)
    assert paths.shape == (len(query), 33, 2)
    assert (np.diff(paths[..., 0]) > 0).all()
    np.testing.assert_allclose(paths[..., 1], paths[:, :1, 1].repeat(33, axis=1), atol=1e-4)


def test_dashes_leave_gaps_and_nothing_else_is_touched() -> None:
    rgb = np.zeros((48, 64, 3), np.uint8)
    path = np.stack([np.linspace(5, 58, 9), np.full(9, 24.0)], axis=-1)[None]
    solid = draw_paths(rgb, path, colour=(255, 0, 0))
    dashed = draw_paths(rgb, path, colour=(255, 0, 0), dashed=True)
    assert rgb.max() == 0
    columns = [(picture[22:27, 5:59, 0].max(axis=0) > 100).sum() for picture in (solid, dashed)]
    assert columns[0] >= 52 and 20 < columns[1] < 45
    assert solid[:18].max() == solid[31:].max() == 0


def test_a_path_without_pixels_is_left_out() -> None:
    rgb = np.zeros((48, 64, 3), np.uint8)
    assert draw_paths(rgb, np.full((1, 9, 2), np.nan)).max() == 0
