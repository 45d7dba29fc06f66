# SPDX-License-Identifier: Apache-2.0
"""The simulator: every task is possible, the expert achieves it, rendered cubes move as bodies."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.geometry import camera, se3
from mu0_core.inference.keypoints import PlaneSelector
from mu0_core.simulation import scene
from mu0_core.simulation.demonstration import demonstrate
from mu0_core.simulation.layout import AREA_MAX_M, AREA_MIN_M, CUBE_COLOURS, sample_layout
from mu0_core.simulation.tasks import TASKS
from mu0_core.simulation.tracks import body_tracks
from mu0_core.simulation.world import TableWorld


@pytest.fixture(scope="module")
def world():
    world = TableWorld(width=320, height=240)
    yield world
    world.close()


@pytest.mark.parametrize("seed", [0, 1, 2, 49_999, 50_000, 61_234])
def test_a_layout_has_room_for_every_task(seed):
    layout = sample_layout(seed)
    assert set(layout.targets) == set(TASKS)
    assert len(set(layout.colours)) == 3 and set(layout.colours) <= set(CUBE_COLOURS)
    things = np.concatenate(
        [layout.cube_xy_m, [layout.bowl_xy_m, layout.plate_xy_m, layout.button_xy_m]]
    )
    assert np.all((things >= AREA_MIN_M) & (things <= AREA_MAX_M))
    gaps = np.linalg.norm(things[:, None] - things[None], axis=-1)[~np.eye(6, dtype=bool)]
    assert gaps.min() > 0.06
    top, base = layout.targets["stack_cubes"]
    assert top != base


def test_a_layout_follows_from_its_seed():
    first, again, other = sample_layout(5), sample_layout(5), sample_layout(6)
    np.testing.assert_array_equal(first.cube_xy_m, again.cube_xy_m)
    assert first.targets == again.targets
    assert not np.array_equal(first.cube_xy_m, other.cube_xy_m)


def test_only_the_sentence_tells_the_tasks_apart(world):
    world.reset(3)
    for variant in range(3):
        sentences = world.instructions(variant)
        assert len(set(sentences.values())) == len(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_achieves_its_task_and_it_was_not_achieved_before(world, task):
    world.reset(0)
    assert not world.success(task)
    assert demonstrate(world, task) and world.success(task)


def test_tracks_of_a_pushed_cube_end_on_the_cube_as_rendered(world):
    world.reset(0)
    cube = world.layout.targets["push_left"][0]
    body = next(
        k for k in range(len(world.body_poses())) if world.body_name(k) == scene.CUBES[cube]
    )
    query = PlaneSelector().select(world.render(), 32)
    pixel = query.uv_px.astype(int)
    under = world.render_body_ids()[pixel[:, 1], pixel[:, 0]]
    assert (under == body).sum() >= 2
    before = world.body_poses()
    assert demonstrate(world, "push_left")
    after = world.body_poses()
    assert np.linalg.norm(after[body, :3, 3] - before[body, :3, 3]) > 0.05
    poses = np.stack([before, after])
    tracks = body_tracks(query, under, world.intrinsics, world.T_base_camera, poses, 0)
    on_cube = tracks[:, under == body]
    in_base = se3.apply(world.T_base_camera, on_cube)
    motion = after[body] @ se3.inverse(before[body])
    np.testing.assert_allclose(in_base[1], se3.apply(motion, in_base[0]), atol=1e-9)
    uv = np.rint(camera.project(on_cube[1], world.intrinsics)[:, :2]).astype(int)
    seen = world.render_body_ids()[uv[:, 1], uv[:, 0]]
    assert (seen == body).mean() >= 0.5  # the closed gripper may hide some


def test_the_housing_of_the_button_lights_up_when_it_is_pressed(world):
    def brightness():
        ids, rgb = world.render_body_ids(), world.render().rgb
        names = [world.body_name(k) for k in range(len(world.body_poses()))]
        return rgb[ids == names.index("button")].mean()

    world.reset(3)
    dark = brightness()
    assert demonstrate(world, "press_button") and world.button_was_pressed
    assert brightness() > 2 * dark
    world.reset(3)
    assert not world.button_was_pressed and brightness() == dark
