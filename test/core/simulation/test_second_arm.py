# SPDX-License-Identifier: Apache-2.0
"""Another arm at the demo table: the scene follows from its file, and FR3's stays as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.geometry import se3
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.simulation import scene
from mu0_core.simulation.demonstration import demonstrate
from mu0_core.simulation.layout import sample_layout
from mu0_core.simulation.path_bodies import PathBodies
from mu0_core.simulation.posture import TOOL_DOWN, posture_table
from mu0_core.simulation.shadow_table import ShadowTable, play
from mu0_core.simulation.simulated_arm import (
    SimulatedArm,
    TableFrame,
    finger_joints,
    simulated_arm,
)
from mu0_core.simulation.table_view import opening_of, placed_layout, pose_world, tips_of
from mu0_core.simulation.tasks import TASKS
from mu0_core.simulation.world import TableWorld

SO101 = load_robot("so101")

# Joints of the FR3 and the first cube's centre after a reset, as when the shipped models were
# trained: a change of the scene that moves them makes those models know another world.
FR3_AFTER_RESET = {
    3: (
        [
            -0.0598713784655,
            -0.416931414345,
            -0.0830709384713,
            -2.6302927416,
            -0.0417887222411,
            2.21404805408,
            0.674432755672,
        ],
        [0.365096130843, 0.0155397518448, 0.0219425440917],
    ),
    50_000: (
        [
            -0.03984853555,
            -0.521592574374,
            -0.0490984704877,
            -2.78002543627,
            -0.0316570204923,
            2.25870839631,
            0.723074592826,
        ],
        [0.391261941038, -0.239613905716, 0.0201291249517],
    ),
}
FR3_SIZES = [
    0.65,
    0.75,
    0.02,
    0.075,
    0.005,
    0.0,
    0.057999999999999996,
    0.003,
    0.0,
    0.022,
    0.012,
    0.0,
]


@pytest.fixture(scope="module")
def world():
    world = TableWorld(SO101, width=160, height=120)
    yield world
    world.close()


def simulation(**values):
    return replace(SO101, simulation={**SO101.simulation, **values})


def test_at_scale_one_both_frames_are_one_bit_by_bit():
    frame, points = TableFrame(), np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_array_equal(frame.to_base(points), points)
    np.testing.assert_array_equal(frame.to_table(points), points)
    fr3 = load_robot("fr3")
    gaps = np.full(50, 0.04)
    np.testing.assert_array_equal(tips_of(points, gaps, frame, fr3.gripper), points)
    assert opening_of(0.031, frame, fr3.gripper) == 0.031
    assert simulated_arm(fr3) == SimulatedArm()


@pytest.mark.parametrize("seed", sorted(FR3_AFTER_RESET))
def test_the_fr3_stands_where_it_stood_when_its_models_were_trained(seed):
    world = TableWorld(width=64, height=48)
    world.reset(seed)
    joints, cube = FR3_AFTER_RESET[seed]
    np.testing.assert_allclose(world.proprioception().positions_rad, joints, atol=1e-9)
    np.testing.assert_allclose(world.cube_position_m(0), cube, atol=1e-9)
    sizes = [world._model.geom(g).size for g in ("table", "plate", "bowl_base", "button_cap")]
    np.testing.assert_array_equal(np.ravel(sizes), FR3_SIZES)
    assert world.opening_m() == pytest.approx(world.table.opening_m(), abs=0)
    np.testing.assert_array_equal(world.tip_position_m(), world.table.tip_position_m())


def test_a_place_in_the_table_frame_comes_back_from_the_base_frame():
    frame, points = TableFrame(0.5, (0.1, -0.2)), np.random.default_rng(1).normal(size=(9, 3))
    np.testing.assert_allclose(frame.to_table(frame.to_base(points)), points, atol=1e-12)
    np.testing.assert_allclose(frame.to_base(np.zeros(3)), [0.1, -0.2, 0.0])
    np.testing.assert_allclose(frame.to_base(np.zeros((4, 2))), np.tile([0.1, -0.2], (4, 1)))


@pytest.mark.parametrize("seed", [0, 7, 49_000, 50_003])
def test_every_thing_lies_in_reach_of_the_small_arm(world, seed):
    world.reset(seed)
    layout, reach = world.layout, posture_table(SO101)
    placed = placed_layout(layout, world.table_frame)
    for xy in (*placed.cube_xy_m, placed.bowl_xy_m, placed.plate_xy_m, placed.button_xy_m):
        for height in (0.015, 0.07):
            assert np.isfinite(reach(np.array([*xy, height]))).all()
    np.testing.assert_allclose(
        world.cube_position_m(0)[:2], placed.cube_xy_m[0], atol=2e-3
    )  # nothing was thrown about by the start
    scale = world.table_frame.scale
    np.testing.assert_allclose(placed.cube_half_m, scale * layout.cube_half_m)
    assert world.table.opening_m() > 2 * layout.cube_half_m.max() * 1.2  # a turned cube fits


def test_the_picture_shows_a_table_like_the_large_one(world):
    """As large in the picture, at a distance that is as much smaller."""
    large = TableWorld(width=160, height=120)
    for each in (world, large):
        each.reset(5)
    near, far = world.render(), large.render()
    ids = world.render_body_ids(), large.render_body_ids()
    shares = [
        [(seen == names.index(name)).mean() for name in ("bowl", "plate", "button")]
        for seen, names in (
            (i, [w.body_name(k) for k in range(len(w.body_poses()))])
            for i, w in zip(ids, (world, large), strict=True)
        )
    ]
    large.close()
    np.testing.assert_allclose(shares[0], shares[1], rtol=0.25)
    ratio = np.nanmedian(near.depth_m) / np.nanmedian(far.depth_m)
    assert ratio == pytest.approx(world.table_frame.scale, rel=0.05)


@pytest.mark.parametrize("task", TASKS)
def test_the_scripted_expert_does_every_task_with_five_joints_and_a_jaw(world, task):
    world.reset(49_002)
    assert not world.success(task)
    assert demonstrate(world, task) and world.success(task)


def test_imagined_links_and_jaw_are_where_physics_has_them(world):
    world.reset(49_002)
    shadow = ShadowTable.of_world(world)
    path, _ = play(shadow, "cube_in_bowl", world.layout.targets["cube_in_bowl"])
    bodies = PathBodies(world)
    poses = bodies.poses(path, world.body_poses())
    names = [world.body_name(k) for k in range(len(world.body_poses()))]
    middle = len(path.tip_m) // 2
    joints = bodies.joints(path.tip_m[middle], path.opening_m[middle])
    pose_world(world, joints, path.opening_m[middle], path.cubes_m[middle], path.yaw_rad[middle])
    there = world.body_poses()
    for name in ("moving_jaw_so101_v1_link", "gripper_link", *scene.CUBES):
        index = names.index(name)
        np.testing.assert_allclose(poses[middle, index], there[index], atol=2e-3)
    tip = world.table.tip_position_m()
    np.testing.assert_allclose(tip, path.tip_m[middle], atol=5e-3)


def test_postures_of_five_joints_meet_the_place_and_nearly_point_down():
    table, kinematics = posture_table(SO101), Kinematics(SO101)
    rng = np.random.default_rng(2)
    places = rng.uniform([0.19, -0.13, 0.01], [0.28, 0.13, 0.05], (20, 3))
    tips = kinematics.tip(table(places))
    np.testing.assert_allclose(tips[:, :3, 3], places, atol=3e-3)
    down = np.einsum("nij,ij->n", tips[:, :3, :3], TOOL_DOWN)
    assert np.all((down - 1) / 2 > np.cos(np.deg2rad(12)))
    assert np.isnan(table(np.array([0.34, 0.2, 0.7]))).all()


def test_the_gap_of_a_jaw_and_its_middle_follow_from_the_joint():
    gripper = SO101.gripper
    assert gripper.gap_m(0.0) == gripper.gap_at_zero_m
    assert gripper.centre_m(0.0) == gripper.gap_at_zero_m / 2
    assert load_robot("fr3").gripper.centre_m(0.05) == 0.0
    frame = TableFrame(0.5)
    assert opening_of(1.0, frame, gripper) == gripper.open_m  # no farther than it opens
    assert opening_of(0.0, frame, gripper) == gripper.closed_m


@pytest.mark.parametrize("opening_m", [-0.008, 0.0, 0.01, 0.03])
def test_the_pads_are_as_far_apart_as_the_description_says(world, opening_m):
    """From the shapes in the URDF: nearest distance between the boxes of jaw and fixed finger."""
    world.reset(0)
    joints = world.proprioception().positions_rad
    cubes = np.array([[0.25, y, 0.3] for y in (-0.1, 0.0, 0.1)])  # out of the way
    world.pose(joints, opening_m, cubes, np.zeros(3))
    tip = world.body_pose(SO101.tip_frame)
    jaw = world.body_pose("moving_jaw_so101_v1_link")
    inner = np.array([-0.0049 - 0.0045, -0.075, 0.0189])  # of the jaw, at the height of the tip
    across = (se3.inverse(tip) @ jaw @ np.array([*inner, 1.0]))[1]
    assert across == pytest.approx(SO101.gripper.gap_m(opening_m), abs=4e-3)


def test_the_gripper_has_the_joints_of_its_file():
    assert finger_joints(SO101) == ("gripper",)
    assert finger_joints(load_robot("fr3")) == ("fr3_finger_joint1", "fr3_finger_joint2")


def test_things_weigh_and_measure_as_the_scale_says():
    large, small = scene.build_model(load_robot("fr3")), scene.build_model(SO101)
    scale = simulated_arm(SO101).table_scale
    for name in ("plate", "bowl_base", "button_cap", "button_housing"):
        np.testing.assert_allclose(small.geom(name).size, scale * large.geom(name).size)
    assert small.body("plate").mass == pytest.approx(scale**3 * large.body("plate").mass)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"tabel_scale": 0.5},
            r"so101: simulation has no \['tabel_scale'\]; known: .*table_scale",
        ),
        ({"table_scale": 0.0}, "sizes, stiffness and forces must be positive"),
        ({"arm_stiffness": []}, "sizes, stiffness and forces must be positive"),
        ({"arm_torque": -1}, "sizes, stiffness and forces must be positive"),
        ({"table_origin_m": [0.1]}, r"table_origin_m \(0.1,\) must be x and y"),
        ({"table_scale": "small"}, "so101: simulation: could not convert"),
        ({"light_button": "yes"}, "so101: simulation: 'yes' must be true or false"),
        ({"finger_links": "gripper_link"}, "so101: simulation: 'gripper_link' must be a list"),
    ],
)
def test_a_wrong_part_of_the_file_is_refused_by_name(values, message):
    with pytest.raises(ConfigError, match=message):
        simulated_arm(simulation(**values))


def test_a_layout_says_nothing_of_the_arm():
    """Seeds mean the same episode for all arms: colours, targets, arrangement."""
    layout = sample_layout(11)
    placed = placed_layout(layout, TableFrame(0.5))
    assert placed.targets == layout.targets and placed.colours == layout.colours
    np.testing.assert_allclose(placed.cube_xy_m, 0.5 * layout.cube_xy_m)
    np.testing.assert_array_equal(placed.cube_yaw_rad, layout.cube_yaw_rad)
