# SPDX-License-Identifier: Apache-2.0
"""Every arm in config/robots: its file fits its URDF, and it reaches its workspace.

Six joints reach any orientation; five reach the position, and the orientation within the slack.
"""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from mu0_core.errors import ConfigError, KinematicsError
from mu0_core.paths import ASSETS, config_file
from mu0_core.robot.description import load_robot, read_urdf_joints
from mu0_core.robot.kinematics import Kinematics

ROBOTS = sorted(p.stem for p in config_file("robots/fr3.yaml").parent.glob("*.yaml"))
TOOL_DOWN = np.diag([1.0, -1.0, -1.0])


@pytest.fixture(params=ROBOTS)
def arm(request):
    return Kinematics(load_robot(request.param))


@pytest.fixture(scope="module")
def five():
    return Kinematics(load_robot("so101"))


def turned_by(arm, joints_rad, wanted):
    return Rotation.from_matrix(wanted[:3, :3] @ arm.tip(joints_rad)[:3, :3].T).magnitude()


def down_at(xyz):
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = TOOL_DOWN, xyz
    return pose


def test_the_arms_that_are_promised_are_there():
    assert {"fr3", "ur5e", "so101"} <= set(ROBOTS)


def test_home_is_within_the_limits_and_the_workspace(arm):
    robot = arm.robot
    assert np.all(robot.home_rad > robot.limits.lower_rad)
    assert np.all(robot.home_rad < robot.limits.upper_rad)
    tip = arm.tip(robot.home_rad)
    assert np.all(tip[:3, 3] > robot.workspace_min_m) and np.all(
        tip[:3, 3] < robot.workspace_max_m
    )
    assert tip[2, 2] < -0.9  # the tool points down but for some degrees


def test_no_link_is_below_the_floor_at_home(arm):
    frames = arm.link_frames(arm.robot.home_rad)
    assert min(frame[2, 3] for frame in frames.values()) >= arm.robot.floor_m


def test_limits_are_finite_shares_of_the_urdf(arm):
    robot = arm.robot
    joints = {j.name: j for j in read_urdf_joints(robot.urdf_path).values()}
    data = yaml.safe_load(config_file(f"robots/{robot.name}.yaml").read_text())
    share = data["limits"]["velocity_scale"]
    assert 0 < share <= 0.5
    velocities = [joints[name].velocity for name in robot.arm_joints]
    np.testing.assert_allclose(robot.limits.velocity_rad_s, share * np.array(velocities))
    assert np.all(np.isfinite(robot.limits.lower_rad) & np.isfinite(robot.limits.upper_rad))


def test_the_gripper_range_is_one_that_its_joint_has(arm):
    gripper = arm.robot.gripper
    joint = {j.name: j for j in read_urdf_joints(arm.robot.urdf_path).values()}[gripper.joint]
    for opening in (gripper.closed_m, gripper.open_m):
        assert joint.lower - 1e-9 <= opening / gripper.opening_per_joint_m <= joint.upper + 1e-9


def test_every_link_that_moves_has_a_mass_and_a_shape(arm):
    root = ElementTree.parse(arm.robot.urdf_path).getroot()
    moved = {
        j.find("child").get("link") for j in root.findall("joint") if j.get("type") != "fixed"
    }
    for link in root.findall("link"):
        if link.get("name") in moved:
            assert float(link.find("inertial/mass").get("value")) > 0
            assert link.find("collision") is not None
    for mesh in root.iter("mesh"):
        assert (ASSETS / mesh.get("filename").removeprefix("package://mu0/")).is_file()


def test_a_ur5e_stands_at_zero_where_its_maker_says():
    """From the published Denavit-Hartenberg parameters: a2 + a3, d4 + d6, d1 - d5."""
    frames = Kinematics(load_robot("ur5e")).link_frames(np.zeros(6))
    expected = (0.425 + 0.3922, 0.1333 + 0.0996, 0.1625 - 0.0997)
    np.testing.assert_allclose(frames["tool0"][:3, 3], expected, atol=1e-9)


@pytest.mark.parametrize("robot", ["fr3", "ur5e"])
def test_six_joints_reach_position_and_orientation(robot):
    arm = Kinematics(load_robot(robot))
    for xyz in [(0.4, 0.0, 0.2), (0.5, 0.3, 0.05), (0.55, -0.3, 0.1)]:
        joints = arm.inverse(down_at(xyz), arm.robot.home_rad)
        np.testing.assert_allclose(arm.tip(joints)[:3, 3], xyz, atol=1e-3)
        assert turned_by(arm, joints, down_at(xyz)) < 0.01


@pytest.mark.parametrize("seed", range(6))
def test_five_joints_reach_the_position_exactly(five, seed):
    """Wherever the arm can be, a tool-down pose there is met in position."""
    low, high = five.robot.workspace_min_m, five.robot.workspace_max_m
    rng, met = np.random.default_rng(seed), 0
    for _ in range(40):
        spread = rng.uniform(-1, 1, 5) * (1.2, 0.5, 0.5, 0.4, 0.5)
        tip = five.tip(five.robot.home_rad + spread)
        if not np.all((tip[:3, 3] > low) & (tip[:3, 3] < high)):
            continue
        try:
            joints = five.inverse(down_at(tip[:3, 3]), five.robot.home_rad)
        except KinematicsError:
            continue
        met += 1
        limits = five.robot.limits
        assert np.linalg.norm(five.tip(joints)[:3, 3] - tip[:3, 3]) < 5e-4
        assert np.all((joints >= limits.lower_rad) & (joints <= limits.upper_rad))
        assert turned_by(five, joints, down_at(tip[:3, 3])) <= five.robot.rotation_slack_rad
    assert met >= 5


def test_five_joints_point_the_tool_down_where_they_can(five):
    for xyz in [(0.2, 0.0, 0.03), (0.24, 0.08, 0.02), (0.16, -0.1, 0.01)]:
        joints = five.inverse(down_at(xyz), five.robot.home_rad)
        assert turned_by(five, joints, down_at(xyz)) < 0.01


def test_where_five_joints_cannot_turn_they_turn_as_far_as_they_can(five):
    """No nearby posture at the same position is turned less: the residual is a minimum."""
    pose = down_at((0.2, 0.0, 0.12))
    joints = five.inverse(pose, five.robot.home_rad)
    least = turned_by(five, joints, pose)
    assert 0.05 < least < five.robot.rotation_slack_rad
    rng, limits = np.random.default_rng(0), five.robot.limits
    for _ in range(200):
        start = np.clip(joints + rng.uniform(-0.2, 0.2, 5), limits.lower_rad, limits.upper_rad)
        other = np.eye(4)
        other[:3, :3], other[:3, 3] = five.tip(start)[:3, :3], pose[:3, 3]
        try:
            near = five.inverse(other, start)
        except KinematicsError:
            continue
        assert turned_by(five, near, pose) > least - 0.01


def test_a_turn_beyond_the_slack_is_refused_with_the_residual(five):
    strict = Kinematics(replace(five.robot, rotation_slack_rad=0.1))
    with pytest.raises(KinematicsError, match=r"off by 0\.\d mm and \d\d"):
        strict.inverse(down_at((0.2, 0.0, 0.12)), five.robot.home_rad)


def test_out_of_reach_is_refused_by_five_joints_too(five):
    with pytest.raises(KinematicsError, match="off by"):
        five.inverse(down_at((0.6, 0.0, 0.1)), five.robot.home_rad)


def changed(tmp_path, old, new):
    text = config_file("robots/so101.yaml").read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new))
    return str(path)


def test_an_own_arm_may_have_its_urdf_beside_its_file(tmp_path):
    urdf = (ASSETS / "robots/so101/so101.urdf").read_text()
    (tmp_path / "mine.urdf").write_text(urdf)
    robot = load_robot(changed(tmp_path, "urdf: robots/so101/so101.urdf", "urdf: ./mine.urdf"))
    assert Path(robot.urdf_path) == tmp_path.resolve() / "mine.urdf"
    assert robot.action_expert == "geometric"  # unless the file names another


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("rotation_slack_rad: 1.0", "rotation_slack_rad: 4.0", "rotation_slack_rad 4.0"),
        ("home_rad: [0.0478, ", "home_rad: [", "home_rad has 4 numbers for 5 joints"),
        ("tip_frame: gripper_tcp", "tip_frame: nowhere", "no chain from 'base_link' to 'nowhere'"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, old, new, message):
    with pytest.raises(ConfigError, match=message):
        load_robot(changed(tmp_path, old, new))
