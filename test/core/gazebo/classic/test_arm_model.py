# SPDX-License-Identifier: Apache-2.0
"""The SDF of an arm for Gazebo Classic is the arm of its URDF: places, masses, shapes, limits."""

import pytest

pytest.importorskip("mujoco")

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.gazebo.classic.arm_model import FINGER_RGB, arm_model, effort
from mu0_core.geometry import se3
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.simulation.simulated_arm import finger_joints

ARMS = ("fr3", "ur5e", "so101")


@pytest.fixture(scope="module", params=ARMS)
def arm(request):
    robot = load_robot(request.param)
    return robot, arm_model(robot, "file:///meshes")


def numbers(element, path):
    return np.array([float(word) for word in element.findtext(path).split()])


def pose_of(element):
    values = numbers(element, "pose")
    return se3.from_rpy(values[:3], values[3:])


def test_links_stand_where_kinematics_puts_them_with_all_joints_at_zero(arm):
    robot, model = arm
    frames = Kinematics(robot).link_frames(np.zeros(len(robot.arm_joints)))
    checked = 0
    for link in model.findall("link"):
        if link.get("name") in frames:
            np.testing.assert_allclose(pose_of(link), frames[link.get("name")], atol=1e-7)
            checked += 1
    assert checked > len(robot.arm_joints)


def test_every_moving_joint_is_there_with_its_limits_and_no_fixed_one(arm):
    robot, model = arm
    joints = {j.get("name"): j for j in model.findall("joint") if j.get("type") != "fixed"}
    assert set(joints) == {*robot.arm_joints, *finger_joints(robot)}
    urdf = ElementTree.parse(robot.urdf_path).getroot()
    for name, joint in joints.items():
        limit = urdf.find(f"joint[@name='{name}']/limit")
        assert numbers(joint, "axis/limit/lower") == float(limit.get("lower"))
        assert numbers(joint, "axis/limit/upper") == float(limit.get("upper"))
    fixed = [j for j in model.findall("joint") if j.get("type") == "fixed"]
    assert [(j.findtext("parent"), j.findtext("child")) for j in fixed] == [
        ("world", robot.base_frame)
    ]


def test_joints_connect_links_that_exist(arm):
    _, model = arm
    links = {link.get("name") for link in model.findall("link")} | {"world"}
    for joint in model.findall("joint"):
        assert {joint.findtext("parent"), joint.findtext("child")} <= links


def test_no_mass_is_lost_when_links_become_one(arm):
    robot, model = arm
    urdf = ElementTree.parse(robot.urdf_path).getroot()
    whole = sum(float(m.get("value")) for m in urdf.iterfind("link/inertial/mass"))
    assert sum(float(m.text) for m in model.iter("mass")) == pytest.approx(whole)


def test_inertias_are_those_of_real_bodies(arm):
    for inertia in arm[1].iter("inertia"):
        value = {e.tag: float(e.text) for e in inertia}
        matrix = [[value["i" + "".join(sorted(a + b))] for a in "xyz"] for b in "xyz"]
        assert np.linalg.eigvalsh(matrix)[0] > 0


def test_every_shape_of_the_urdf_collides_and_is_seen(arm):
    robot, model = arm
    urdf = ElementTree.parse(robot.urdf_path).getroot()
    shapes = len(urdf.findall("link/collision"))
    for kind in ("collision", "visual"):
        assert len(model.findall(f"link/{kind}")) == shapes
    names = [part.get("name") for part in model.iter() if part.tag in ("collision", "visual")]
    assert len(names) == len(set(names))


def test_meshes_are_looked_for_in_the_given_folder(arm):
    robot, model = arm
    uris = [uri.text for uri in model.iter("uri")]
    for uri in uris:
        assert uri.startswith("file:///meshes/")
        assert (robot.urdf_path.parent / "meshes" / uri.rsplit("/", 1)[1]).is_file()


def test_fingers_grip_and_gravity_leaves_the_arm_alone():
    robot = load_robot("fr3")
    model = arm_model(robot, "file:///meshes")
    assert all(link.findtext("gravity") == "false" for link in model.findall("link"))
    finger = model.find("link[@name='fr3_leftfinger']")
    assert numbers(finger, "collision/surface/friction/ode/mu") == 1.2
    np.testing.assert_allclose(numbers(finger, "visual/material/diffuse")[:3], FINGER_RGB)
    assert model.find("link[@name='fr3_link4']/collision/surface") is None


def test_the_hand_is_part_of_the_last_link_and_keeps_its_place():
    model = arm_model(load_robot("fr3"), "file:///meshes")
    assert model.find("link[@name='fr3_hand']") is None
    hand = [uri for uri in model.find("link[@name='fr3_link7']").iter("uri") if "hand" in uri.text]
    assert len(hand) == 2  # seen and touched
    joint = model.find("joint[@name='fr3_finger_joint1']")
    assert joint.findtext("parent") == "fr3_link7"


def _changed(tmp_path, old, new):
    robot = load_robot("fr3")
    text = robot.urdf_path.read_text()
    assert old in text
    path = tmp_path / "fr3.urdf"
    path.write_text(text.replace(old, new))
    return replace(robot, urdf_path=path)


def test_a_moving_link_without_mass_is_refused(tmp_path):
    robot = _changed(tmp_path, '<mass value="0.0291"/>', '<mass value="0"/>')
    with pytest.raises(ConfigError, match="'fr3_leftfinger' has no mass"):
        arm_model(robot, "file:///meshes")


def test_a_joint_of_another_kind_is_refused(tmp_path):
    old = 'name="fr3_joint3" type="revolute"'
    robot = _changed(tmp_path, old, old.replace("revolute", "planar"))
    with pytest.raises(ConfigError, match="'fr3_joint3' is 'planar'"):
        arm_model(robot, "file:///meshes")


def test_effort_is_the_urdfs_and_must_be_there(tmp_path):
    assert effort(load_robot("fr3"), "fr3_joint1") == 87
    robot = _changed(tmp_path, 'effort="87"', 'effort="0"')
    with pytest.raises(ConfigError, match="'fr3_joint1' has no effort limit"):
        effort(robot, "fr3_joint1")
