# SPDX-License-Identifier: Apache-2.0
"""What a scene looks like: plain unless asked otherwise, and the same wherever the camera was."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from mu0_core.errors import SimulationError
from mu0_core.geometry import camera, se3
from mu0_core.simulation.texture import surface_texture
from mu0_core.simulation.viewpoint import look_at
from mu0_core.simulation.world import TableWorld

LOOK = "geom_rgba geom_size geom_matid light_dir light_diffuse cam_pos cam_quat cam_fovy".split()
GOLDEN = "aefade062744b08d"  # of the scene that the shipped models were trained in


@pytest.fixture(scope="module")
def plain():
    world = TableWorld(width=160, height=120)
    yield world
    world.close()


@pytest.fixture(scope="module")
def textured():
    world = TableWorld(width=160, height=120, texture_seed=3)
    yield world
    world.close()


def test_plain_scenes_look_as_the_shipped_models_know_them(plain):
    digest = hashlib.sha256()
    for seed in (0, 49_000, 50_000):
        plain.reset(seed)
        look = np.concatenate([np.ravel(getattr(plain._model, name)) for name in LOOK])
        digest.update((np.round(look.astype(float), 5) + 0.0).tobytes())
    assert digest.hexdigest()[:16] == GOLDEN
    assert plain._model.ntex == plain._model.nmat == 0


def test_a_texture_changes_the_colour_of_table_and_floor_and_nothing_else(plain, textured):
    plain.reset(5), textured.reset(5)
    one, other = plain.render(), textured.render()
    ids = plain.render_body_ids()
    np.testing.assert_array_equal(one.depth_m, other.depth_m)
    np.testing.assert_array_equal(ids, textured.render_body_ids())
    np.testing.assert_array_equal(one.rgb[ids > 0], other.rgb[ids > 0])
    assert (one.rgb != other.rgb)[ids == 0].any(axis=-1).mean() > 0.9
    table = (ids[90:, 1:] == 0) & (ids[90:, :-1] == 0)  # the lower part of the picture
    grain, none = (np.diff(x.rgb[90:].astype(int), axis=1)[table] for x in (other, one))
    assert np.abs(grain).mean() > 1 >= np.abs(none).max()


def test_a_layout_puts_the_camera_back(plain):
    plain.reset(5)
    pose, before = plain.T_base_camera, plain.render()
    plain.set_camera(look_at(np.array([1.1, 0.3, 0.8]), np.array([0.4, 0.0, 0.0])))
    assert (plain.render().rgb != before.rgb).any()
    plain.reset(5)
    np.testing.assert_array_equal(plain.T_base_camera, pose)
    after = plain.render()
    np.testing.assert_array_equal(after.rgb, before.rgb)
    np.testing.assert_array_equal(after.depth_m, before.depth_m)


@pytest.mark.parametrize("position", [(1.2, 0.0, 0.7), (1.0, 0.4, 0.9), (0.9, -0.5, 0.5)])
def test_the_picture_is_taken_from_where_the_camera_was_put(plain, position):
    plain.reset(7)
    pose = look_at(np.array(position), np.array([0.45, 0.0, 0.05]))
    plain.set_camera(pose)
    np.testing.assert_allclose(plain.T_base_camera, pose, atol=1e-9)
    frame, ids = plain.render(), plain.render_body_ids()
    rows, columns = np.nonzero(ids == 0)
    uvz = np.column_stack([columns, rows, frame.depth_m[rows, columns]]).astype(float)
    height = se3.apply(pose, camera.unproject(uvz, frame.intrinsics))[:, 2]
    on_surface = np.minimum(abs(height), abs(height + 0.75)) < 1e-3
    assert on_surface.mean() > 0.97  # the rest is the side of the table
    for name in ("bowl", "plate"):
        point = se3.apply(se3.inverse(pose), plain.body_position_m(name))
        u, v, _ = camera.project(point, frame.intrinsics)
        assert plain.body_name(ids[round(v), round(u)]) == name


@pytest.mark.parametrize("pose", [np.eye(3), 2 * np.eye(4), np.full((4, 4), np.nan)])
def test_a_pose_that_is_not_rigid_is_refused(plain, pose):
    plain.reset(7)
    before = plain.T_base_camera
    with pytest.raises(SimulationError, match="rigid"):
        plain.set_camera(pose)
    np.testing.assert_array_equal(plain.T_base_camera, before)


def test_a_texture_follows_from_its_seed():
    np.testing.assert_array_equal(surface_texture(4, 128), surface_texture(4, 128))
    assert (surface_texture(4, 128) != surface_texture(5, 128)).mean() > 0.5


@pytest.mark.parametrize("seed", range(4))
def test_a_texture_can_be_tiled_and_keeps_the_surface_bright(seed):
    picture = surface_texture(seed, 256).astype(float)
    for axis in (0, 1):
        inner = np.abs(np.diff(picture, axis=axis)).mean()
        seam = np.abs(np.take(picture, 0, axis) - np.take(picture, -1, axis)).mean()
        assert seam < 1.5 * inner
    assert 0.6 < picture.mean() / 255 < 0.85
    assert 8 < picture.std() < 50
