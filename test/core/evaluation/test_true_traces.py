# SPDX-License-Identifier: Apache-2.0
"""Perfect forecasts: they start at the query points and say what the expert then does."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.errors import SimulationError
from mu0_core.evaluation.true_traces import TrueTraceForecaster
from mu0_core.geometry import camera, se3
from mu0_core.inference.keypoints import PlaneSelector
from mu0_core.simulation.shadow_table import ShadowTable, play
from mu0_core.simulation.world import TableWorld
from mu0_core.training.embedded_profile import EMBEDDED_WORLD_MODEL


@pytest.fixture(scope="module")
def world():
    world = TableWorld(width=320, height=240)
    yield world
    world.close()


@pytest.fixture(scope="module")
def forecaster(world):
    return TrueTraceForecaster(world, EMBEDDED_WORLD_MODEL)


def test_the_cube_goes_where_it_is_asked_and_nothing_else_does(world, forecaster):
    world.reset(50_001)
    frame = world.render()
    query = PlaneSelector().select(frame, 32)
    cube = world.layout.targets["push_left"][0]
    forecast = forecaster.forecast(frame, world.instructions(2)["push_left"], query)
    uvz = np.concatenate([query.uv_px, query.depth_m[:, None]], axis=1).astype(float)
    start = camera.unproject(uvz, frame.intrinsics)
    np.testing.assert_allclose(forecast.control_points[:, 0], start, atol=0.01)
    ends = se3.apply(world.T_base_camera, forecast.control_points[:, -1].astype(float))
    moved = ends - se3.apply(world.T_base_camera, start)
    here = se3.apply(world.T_base_camera, start)
    near = np.linalg.norm(here[:, :2] - world.layout.cube_xy_m[cube], axis=1) < 0.03
    near &= here[:, 2] < 0.06
    shadow = ShadowTable.of_world(world)
    play(shadow, "push_left", (cube,), 8)
    wanted = shadow.cubes_m[cube] - world.cube_position_m(cube)
    assert near.any()
    np.testing.assert_allclose(moved[near], np.broadcast_to(wanted, moved[near].shape), atol=0.02)
    others = (here[:, 2] < 0.04) & ~near
    assert np.linalg.norm(moved[others], axis=1).max() < 0.01


def test_a_sentence_about_nothing_in_the_scene_is_refused(world, forecaster):
    world.reset(50_001)
    frame = world.render()
    with pytest.raises(SimulationError, match="whistle"):
        forecaster.forecast(frame, "whistle", PlaneSelector().select(frame, 8))
