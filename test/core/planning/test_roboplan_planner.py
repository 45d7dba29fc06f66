# SPDX-License-Identifier: Apache-2.0
"""Plans are free, start and end where they should, stay inside, and are the same for a seed."""

import builtins
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mu0_core.control.collision_check import CollisionChecker
from mu0_core.errors import (
    ConfigError,
    KinematicsError,
    PlannerUnavailableError,
    PlanningError,
    ShapeError,
)
from mu0_core.geometry.box import Box
from mu0_core.planning.depth_points import voxel_centres
from mu0_core.planning.planner import between, check_in_workspace, plan_to_pose
from mu0_core.planning.scene import PlanningScene, floor_box
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics

pytest.importorskip("roboplan.rrt")

from mu0_core.planning.collision_model import CollisionModel, srdf_text
from mu0_core.planning.roboplan_space import SearchSettings


def wall_scene(robot, as_points=False):
    """A wall between left and right in front of the FR3, as a box or as a camera sees it."""
    box = Box.at("wall", np.array([0.45, 0.0, 0.15]), (0.3, 0.02, 0.3))
    if not as_points:
        return PlanningScene((floor_box(robot), box))
    x, z = np.meshgrid(np.arange(0.31, 0.6, 0.02), np.arange(0.03, 0.3, 0.02))
    points = np.stack([x.ravel(), np.full(x.size, 0.01), z.ravel()], axis=1)
    return PlanningScene((floor_box(robot),), points, 0.02)


def beside_wall(robot, y):
    pose = Kinematics(robot).tip(robot.home_rad)
    pose[:3, 3] = [0.45, y, 0.12]
    return pose


def test_home_is_free_on_every_arm(any_planner):
    robot = any_planner.robot
    scene = PlanningScene((floor_box(robot),))
    check = any_planner.check(robot.home_rad[None], scene, clearance=True)
    assert check.collision is None and check.clearance_m > 0.01


def test_what_the_gate_finds_too_near_the_planner_does_not_call_free(any_planner):
    robot, order = any_planner.robot, np.random.default_rng(0)
    gate = CollisionChecker(Kinematics(robot), robot.collision)
    shapes = CollisionModel(robot)
    postures = order.uniform(
        robot.limits.lower_rad, robot.limits.upper_rad, (600, len(robot.home_rad))
    )
    refused = [q for q in postures if gate.at(q).too_near and shapes.touching(q) is None]
    assert len(refused) > 5, "nothing was tested"
    for q in refused:
        assert any_planner.check(q[None], PlanningScene()).collision is not None
        with pytest.raises(PlanningError, match="the goal"):
            any_planner.plan(robot.home_rad, q, PlanningScene())


def test_a_way_around_a_box_keeps_the_margin_of_the_gate(planner):
    robot, scene = planner.robot, wall_scene(planner.robot)
    start = planner.inverse(beside_wall(robot, -0.2), robot.home_rad, scene)
    goal = planner.inverse(beside_wall(robot, 0.2), start, scene)
    gate = CollisionChecker(Kinematics(robot), robot.collision, scene.boxes[1:])
    rows, _ = between(planner.plan(start, goal, scene), 0.02)
    assert not gate.at(rows).too_near


@pytest.mark.parametrize("as_points", [False, True], ids=["box", "points"])
@pytest.mark.parametrize("seed", range(3))
def test_a_plan_leads_around_a_wall(planner, as_points, seed):
    robot, scene = planner.robot, wall_scene(planner.robot, as_points)
    start = planner.inverse(beside_wall(robot, -0.2), robot.home_rad, scene)
    straight = planner.inverse(beside_wall(robot, 0.2), start, PlanningScene())
    hit = planner.check(np.stack([start, straight]), scene).collision
    assert hit is not None and hit.step == 1
    assert ("points" if as_points else "wall") in hit.bodies
    path = plan_to_pose(planner, start, beside_wall(robot, 0.2), scene, seed=seed)
    assert np.array_equal(path[0], start) and len(path) > 2
    tip = Kinematics(robot).tip(path[-1])
    assert np.allclose(tip[:3, 3], [0.45, 0.2, 0.12], atol=1e-3)
    assert planner.check(path, scene).collision is None
    fine = between(path, 0.004)[0]
    assert planner.check(fine, scene).collision is None, "free between the checked places, too"
    check_in_workspace(fine, Kinematics(robot), "path")
    limits = robot.limits
    assert (path >= limits.lower_rad - 1e-5).all() and (path <= limits.upper_rad + 1e-5).all()


def test_the_same_seed_gives_the_same_plan(planner):
    robot, scene = planner.robot, wall_scene(planner.robot)
    ends = [planner.inverse(beside_wall(robot, y), robot.home_rad, scene) for y in (-0.2, 0.2)]
    first, again, other = (planner.plan(*ends, scene, seed=s) for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)


def test_without_obstacles_the_way_is_straight(any_planner):
    robot = any_planner.robot
    goal = robot.home_rad.copy()
    goal[0] += 0.2
    path = any_planner.plan(robot.home_rad, goal, PlanningScene((floor_box(robot),)))
    assert np.array_equal(path, np.stack([robot.home_rad, goal]))


def test_both_models_agree_on_random_joints(any_planner):
    """Ours tells who touches, roboplan's is searched: they must not know two different arms."""
    robot, order = any_planner.robot, np.random.default_rng(3)
    cube = order.uniform([0.1, -0.3, 0.0], [0.5, 0.3, 0.5], (200, 3))
    wall = Box.at("wall", np.array([0.3, 0.2, 0.2]), (0.2, 0.05, 0.4))
    scene = PlanningScene((floor_box(robot), wall), voxel_centres(cube, 0.02), 0.02, 0.0)
    any_planner._model_takes(scene)
    any_planner._space_takes(scene)
    limits = robot.limits
    touching = []
    for _ in range(400):
        joints = order.uniform(limits.lower_rad, limits.upper_rad)
        ours = any_planner._model.touching(joints)
        full = any_planner._model.full(joints)
        assert (ours is not None) == any_planner._space._space.hasCollisions(full)
        touching.append(ours)
    assert 20 < sum(t is not None for t in touching) < 400, "the test must see both"
    any_planner._space_takes(PlanningScene())


def test_the_arm_itself_is_in_the_way(planner):
    robot = planner.robot
    folded = robot.home_rad.copy()
    folded[[1, 3, 5]] = [-1.7, -3.0, 0.6]
    hit = planner.check(np.stack([robot.home_rad, folded]), PlanningScene()).collision
    assert hit is not None and all(body.startswith("fr3_") for body in hit.bodies)
    assert "would touch at step 1" in str(hit)


def test_the_clearance_is_the_distance_of_what_moves(planner):
    robot = planner.robot
    tip = Kinematics(robot).tip(robot.home_rad)[:3, 3]
    box = Box.at("block", tip + [0.0, 0.0, -0.20], (0.1, 0.1, 0.1))
    clear = planner.check(robot.home_rad[None], PlanningScene((box,)), clearance=True).clearance_m
    assert 0.12 < clear < 0.15  # 150 mm to the tip, the fingertips reach 10 mm further
    assert np.isnan(planner.check(robot.home_rad[None], PlanningScene((box,))).clearance_m)
    bare = planner.check(robot.home_rad[None], PlanningScene(), clearance=True)
    assert np.isnan(bare.clearance_m)


def test_open_fingers_are_wider_than_closed_ones(planner):
    robot = planner.robot
    tip = Kinematics(robot).tip(robot.home_rad)
    beside = voxel_centres((tip[:3, 3] + tip[:3, 1] * 0.05)[None], 0.02)
    for opening, free in ((0.0, True), (0.08, False)):
        scene = PlanningScene((), beside, 0.02, gripper_m=opening)
        assert (planner.check(robot.home_rad[None], scene).collision is None) == free


def test_inverse_kinematics_avoids_obstacles(planner):
    robot = planner.robot
    pose = Kinematics(robot).tip(robot.home_rad)
    pose[:3, 3] = [0.45, 0.1, 0.3]
    near = planner.inverse(pose, robot.home_rad, PlanningScene())
    elbow = Kinematics(robot).link_frames(near)["fr3_link4"][:3, 3]
    scene = PlanningScene((Box.at("post", elbow, (0.05, 0.05, 0.05)),))
    joints = planner.inverse(pose, robot.home_rad, scene)
    assert planner.check(near[None], scene).collision is not None
    assert planner.check(joints[None], scene).collision is None
    assert np.allclose(Kinematics(robot).tip(joints)[:3, 3], pose[:3, 3], atol=1e-3)


def test_inverse_kinematics_says_whether_a_pose_is_out_of_reach_or_blocked(any_planner):
    robot = any_planner.robot
    pose = Kinematics(robot).tip(robot.home_rad)
    block = Box.at("block", pose[:3, 3], (0.12, 0.12, 0.12))
    with pytest.raises(PlanningError, match="only be reached in collision: .*block") as caught:
        any_planner.inverse(pose, robot.home_rad, PlanningScene((block,)))
    assert caught.value.code == "COLLISION_PREDICTED"
    pose[:3, 3] = [3.0, 0.0, 0.5]
    with pytest.raises(KinematicsError) as unreached:
        any_planner.inverse(pose, robot.home_rad, PlanningScene())
    assert unreached.value.code == "NO_IK_SOLUTION"


def test_ends_in_collision_are_named(planner):
    robot = planner.robot
    tip = Kinematics(robot).tip(robot.home_rad)[:3, 3]
    scene = PlanningScene((Box.at("block", tip, (0.12, 0.05, 0.12)),))
    away = robot.home_rad.copy()
    away[0] += 0.45
    with pytest.raises(PlanningError, match="the start is in collision: .*block"):
        planner.plan(robot.home_rad, away, scene)
    with pytest.raises(PlanningError, match="the goal is in collision: .*block"):
        planner.plan(away, robot.home_rad, scene)


def test_ends_beyond_limits_or_outside_the_workspace_are_named(planner):
    robot = planner.robot
    beyond = robot.home_rad.copy()
    beyond[3] = 0.0
    with pytest.raises(PlanningError, match="the goal: fr3_joint4 at 0.000 rad, allowed") as first:
        planner.plan(robot.home_rad, beyond, PlanningScene())
    assert first.value.code == "LIMIT_VIOLATION"
    behind = robot.home_rad.copy()
    behind[0] = 2.0
    with pytest.raises(PlanningError, match="outside the workspace") as second:
        planner.plan(behind, robot.home_rad, PlanningScene())
    assert second.value.code == "WORKSPACE_VIOLATION"


def test_a_wall_through_the_whole_workspace_has_no_way_around(planner):
    from mu0_core.planning.roboplan_planner import RoboplanPlanner

    robot = planner.robot
    hasty = RoboplanPlanner(robot, SearchSettings(allowed_s=0.2))
    across = Box.at("wall", np.array([0.57, 0.0, 0.4]), (0.54, 0.01, 0.9))
    scene = PlanningScene((across,))
    left, right = (
        hasty.inverse(beside_wall(robot, y), robot.home_rad, scene) for y in (0.3, -0.3)
    )
    with pytest.raises(PlanningError, match="no way around the obstacles was found within 0.2 s"):
        hasty.plan(left, right, scene)


def test_a_path_of_another_shape_is_refused(planner):
    with pytest.raises(ShapeError, match="expected \\(K >= 1, 7\\)"):
        planner.check(np.zeros((3, 6)), PlanningScene())
    with pytest.raises(ShapeError, match="NaN or infinity"):
        planner.check(np.full((1, 7), np.nan), PlanningScene())


def test_the_srdf_on_disk_is_of_this_arm(any_planner):
    robot = any_planner.robot
    model = CollisionModel(robot)
    assert f'name="{robot.name}"' in srdf_text(robot)
    for pair, _ in model.joined().items():
        if len(pair) == 2:
            a, b = sorted(pair)
            assert any(
                f'link1="{x}" link2="{y}"' in srdf_text(robot) for x, y in ((a, b), (b, a))
            ), pair


def test_an_arm_without_srdf_is_told_how_to_get_one(tmp_path):
    robot = load_robot("so101")
    copy = tmp_path / "so101.urdf"
    copy.write_text(robot.urdf_path.read_text())
    with pytest.raises(ConfigError, match="scripts/write_srdf.py so101"):
        CollisionModel(replace(robot, urdf_path=copy))
    copy.with_suffix(".srdf").write_text("<nothing")
    with pytest.raises(ConfigError, match="is not XML"):
        CollisionModel(replace(robot, urdf_path=copy))
    copy.with_suffix(".srdf").write_text("<arm/>")
    with pytest.raises(ConfigError, match="begins with <arm>"):
        CollisionModel(replace(robot, urdf_path=copy))


@pytest.mark.parametrize("module", ["pinocchio", "roboplan.core"])
def test_a_missing_package_names_the_extra(monkeypatch, module):
    from mu0_core.planning.roboplan_planner import RoboplanPlanner

    real = builtins.__import__

    def missing(name, *rest):
        if name == module:
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(PlannerUnavailableError, match="mu0-ros\\[planning\\]") as caught:
        RoboplanPlanner(load_robot("fr3"))
    assert caught.value.code == "NOT_READY"


def test_the_protocol_needs_no_planner():
    """What the gate and the nodes import must load where the extra is not installed."""
    probe = (
        "import sys, mu0_core.planning.checked_expert, mu0_core.planning.home, "
        "mu0_core.planning.depth_points, mu0_core.planning.roboplan_planner; "
        "sys.exit(sum(n in sys.modules for n in ('pinocchio', 'roboplan', 'coal', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", probe]).returncode == 0


def test_settings_must_be_positive():
    with pytest.raises(ConfigError, match="allowed_s 0.0 must be positive"):
        SearchSettings(allowed_s=0.0)
