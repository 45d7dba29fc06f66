# SPDX-License-Identifier: Apache-2.0
"""Scenes refuse what cannot be; depth becomes cubes where things are, and only there."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mu0_core.errors import ConfigError, ObservationError, ShapeError
from mu0_core.geometry.box import Box
from mu0_core.planning.depth_points import DepthPointSettings, DepthScene, voxel_centres
from mu0_core.planning.robot_body import RobotBody
from mu0_core.planning.scene import PlanningScene, floor_box
from mu0_core.planning.urdf_shapes import link_hulls, stl_vertices
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.types import CameraIntrinsics, Proprioception, RgbdFrame

CAMERA = CameraIntrinsics(160, 120, 120.0, 120.0, 79.5, 59.5)
# looks straight down from 1 m above (0.5, 0, 0)
T_BASE_CAMERA = np.array(
    [[0.0, -1.0, 0.0, 0.5], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 1.0], [0.0, 0.0, 0.0, 1.0]]
)


def at_home(robot, gripper_m=0.05):
    return Proprioception(robot.home_rad, None, gripper_m, 0)


def frame_of(depth_m):
    rgb = np.zeros((120, 160, 3), np.uint8)
    return RgbdFrame(rgb, depth_m.astype(np.float32), CAMERA, "camera", 0)


def table_with_block():
    """A table 1 m below the camera, a block 10 cm high and about 8 cm wide beside its middle."""
    depth = np.ones((120, 160))
    depth[70:80, 20:30] = 0.9
    return depth


def test_a_block_on_the_table_becomes_cubes_and_the_table_none():
    robot = load_robot("fr3")
    scene = DepthScene(robot).look(frame_of(table_with_block()), T_BASE_CAMERA, at_home(robot))
    place = scene.points_m.mean(axis=0)
    assert 20 <= len(scene.points_m) <= 150
    assert 0.09 < scene.points_m[:, 2].max() + scene.voxel_m / 2 < 0.107
    assert np.allclose(place, [0.5 - 15 / 120 * 0.9, 55 / 120 * 0.9, 0.1], atol=0.02)
    assert [box.name for box in scene.boxes] == ["floor"] and scene.gripper_m == 0.05


@pytest.mark.parametrize("name", ["fr3", "ur5e", "so101"])
def test_an_arm_never_takes_itself_for_an_obstacle(name):
    robot, order = load_robot(name), np.random.default_rng(0)
    body, hulls = RobotBody(robot), link_hulls(robot)
    limits, hand = robot.limits, robot.gripper
    for _ in range(10):
        joints = order.uniform(limits.lower_rad, limits.upper_rad)
        opening = order.uniform(hand.closed_m, hand.open_m)
        frames = body.link_frames(joints, opening)
        points = np.concatenate(
            [h.vertices_m @ frames[h.link][:3, :3].T + frames[h.link][:3, 3] for h in hulls]
        )
        assert body.contains(points, joints, opening, 1e-6).all()
        far = points + np.array([0.0, 0.0, 3.0])
        assert not body.contains(far, joints, opening, 0.05).any()


@pytest.mark.parametrize("name", ["fr3", "ur5e", "so101"])
def test_frames_of_the_body_are_those_of_the_kinematics(name):
    robot, order = load_robot(name), np.random.default_rng(1)
    body, kinematics = RobotBody(robot), Kinematics(robot)
    joints = order.uniform(robot.limits.lower_rad, robot.limits.upper_rad)
    known = kinematics.link_frames(joints)
    mine = body.link_frames(joints, robot.gripper.open_m)
    shared = set(known) & set(mine)
    assert len(shared) >= 5
    for link in shared:
        assert np.allclose(known[link], mine[link], atol=1e-9), link


def test_the_margin_around_the_arm_is_kept():
    robot = load_robot("fr3")
    tip = Kinematics(robot).tip(robot.home_rad)[:3, 3]
    beside = (tip + np.array([0.0, 0.0, -0.03]))[None]
    body = RobotBody(robot)
    assert not body.contains(beside, robot.home_rad, 0.0, 0.01).any()
    assert body.contains(beside, robot.home_rad, 0.0, 0.03).all()


def test_points_at_places_to_be_touched_are_left_out():
    points = np.array([[0.5, 0.0, 0.1], [0.5, 0.2, 0.1]])
    scene = PlanningScene(points_m=points, voxel_m=0.02)
    left = scene.without_points_near(np.array([[0.5, 0.01, 0.1]]), 0.05)
    assert np.array_equal(left.points_m, points[1:])
    assert scene.without_points_near(np.zeros((0, 3)), 0.05) is scene


@given(
    arrays(float, st.tuples(st.integers(1, 60), st.just(3)), elements=st.floats(-2, 2)),
    st.sampled_from([0.01, 0.02, 0.1]),
)
def test_every_point_lies_in_its_cube_and_no_cube_stands_twice(points, voxel_m):
    centres = voxel_centres(points, voxel_m)
    apart = np.abs(points[:, None] - centres[None]).max(axis=2)
    assert (apart.min(axis=1) <= voxel_m / 2 + 1e-9).all()
    assert len(np.unique(centres.round(6), axis=0)) == len(centres) <= len(points)


def test_lone_pixels_are_noise_and_coarse_pixels_are_not():
    robot, depth = load_robot("fr3"), table_with_block()
    seen = DepthScene(robot).look(frame_of(depth), T_BASE_CAMERA, at_home(robot)).points_m
    depth[30, 100] = 0.7  # between a hand and the table, in the air
    again = DepthScene(robot).look(frame_of(depth), T_BASE_CAMERA, at_home(robot)).points_m
    assert np.array_equal(seen, again)
    fine = DepthPointSettings(voxel_m=0.003)  # cubes far smaller than what a pixel covers
    assert len(
        DepthScene(robot, fine).look(frame_of(depth), T_BASE_CAMERA, at_home(robot)).points_m
    )


def test_a_picture_without_depth_is_no_empty_table():
    robot = load_robot("fr3")
    with pytest.raises(ObservationError, match="no pixel of the depth image is known"):
        DepthScene(robot).look(
            frame_of(np.full((120, 160), np.nan)), T_BASE_CAMERA, at_home(robot)
        )


def test_the_floor_lies_where_the_description_says():
    robot = load_robot("so101")
    box = floor_box(robot)
    top = box.T_base_box[2, 3] + box.size_m[2] / 2
    assert robot.floor_m - 0.02 < top < robot.floor_m


def test_a_padded_box_is_larger_on_every_side():
    box = Box.at("wall", np.zeros(3), (0.1, 0.2, 0.3))
    (padded,) = PlanningScene((box,)).padded(0.01).boxes
    assert np.allclose(padded.size_m, [0.12, 0.22, 0.32])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Box.at("a", np.zeros(3), (0.1, 0.0, 0.1)), "three above 0 expected"),
        (
            lambda: PlanningScene((Box.at("points", np.zeros(3), (1, 1, 1)),)),
            "cannot be called 'points'",
        ),
        (lambda: Box("a", (1, 1, 1), np.full((4, 4), np.nan)), "no finite pose"),
        (lambda: PlanningScene(points_m=np.zeros((3, 2))), "expected \\(N, 3\\)"),
        (lambda: PlanningScene(points_m=np.full((1, 3), np.inf)), "must be finite"),
        (lambda: PlanningScene(voxel_m=1.0), "allowed 0.002 to 0.2"),
        (lambda: PlanningScene(gripper_m=np.nan), "is not finite"),
        (lambda: PlanningScene((floor_box(load_robot("fr3")),) * 2), "names of their own"),
        (lambda: DepthPointSettings(voxel_m=0.0), "allowed 0.002 to 0.2"),
        (lambda: DepthPointSettings(columns=0), "at least 1"),
        (lambda: DepthPointSettings(body_margin_m=-1.0), "must not be negative"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises((ConfigError, ShapeError), match=message):
        make()


def test_a_broken_mesh_is_named(tmp_path):
    path = tmp_path / "link.stl"
    path.write_bytes(bytes(80) + b"\xff\x00\x00\x00" + bytes(50))
    with pytest.raises(ConfigError, match="cannot read binary STL .*link.stl"):
        stl_vertices(path)


def test_boxes_of_the_description_and_of_the_user_are_in_every_scene():
    robot = load_robot("fr3")
    wall, post = Box.at("wall", (1, 0, 0), (0.1, 1, 1)), Box.at("post", (0, 1, 0), (0.1, 0.1, 1))
    walled = replace(robot, collision=replace(robot.collision, boxes=(wall,)))
    scene = DepthScene(walled, boxes=(post,))
    state = at_home(robot)
    for seen in (
        scene.bare(state),
        scene.look(frame_of(table_with_block()), T_BASE_CAMERA, state),
    ):
        assert [box.name for box in seen.boxes] == ["floor", "wall", "post"]
    with pytest.raises(ConfigError, match="names of their own"):
        DepthScene(walled, boxes=(wall,)).bare(state)
