# SPDX-License-Identifier: Apache-2.0
"""The Gazebo files, as far as they can be checked without Gazebo: arm, controllers, bridge.

Nothing here has been run in Harmonic.
"""

import shutil
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from mu0_core.errors import ConfigError
from mu0_core.gazebo.world_file import OPTICAL_FRAME, camera_pose
from mu0_core.paths import config_file
from mu0_core.robot.description import load_robot
from mu0_ros.bringup import gazebo
from mu0_ros.bringup.request import read_request

ROBOTS = ("fr3", "ur5e", "so101")
# Pairs of the table in ros_gz_bridge's README (jazzy) that a camera and a clock need.
PAIRS = {
    "sensor_msgs/msg/Image": "gz.msgs.Image",
    "sensor_msgs/msg/CameraInfo": "gz.msgs.CameraInfo",
    "sensor_msgs/msg/PointCloud2": "gz.msgs.PointCloudPacked",
    "rosgraph_msgs/msg/Clock": "gz.msgs.Clock",
}
KEYS = {
    "ros_topic_name", "gz_topic_name", "ros_type_name", "gz_type_name", "direction", "lazy",
    "publisher_queue", "subscriber_queue",
}  # fmt: skip


def canonical(element):
    text = ElementTree.tostring(element, encoding="unicode")
    return ElementTree.canonicalize(text, strip_text=True)


def asked(**given):
    return read_request({"sim": "gazebo", **given})


@pytest.fixture(params=ROBOTS)
def request_of(request):
    return asked(robot=request.param, namespace="left")


@pytest.fixture
def urdf(request_of, tmp_path):
    pytest.importorskip("xacro", reason="pip install xacro; the arm's Gazebo URDF is not checked")
    return ElementTree.fromstring(gazebo.robot_description(request_of, tmp_path / "c.yaml"))


def test_the_expanded_urdf_is_the_arms_own_fixed_to_the_world(urdf, request_of):
    own = ElementTree.parse(request_of.robot.urdf_path).getroot()
    joints = {joint.get("name"): joint for joint in urdf.findall("joint")}
    for joint in own.findall("joint"):
        assert canonical(joints[joint.get("name")]) == canonical(joint)
    links = [link.get("name") for link in urdf.findall("link")]
    assert len(links) == len(set(links)) == len(own.findall("link")) + 1
    fixed = joints["world_fixed"]
    assert fixed.find("parent").get("link") == "world"
    assert fixed.find("child").get("link") == request_of.robot.base_frame
    children = [joint.find("child").get("link") for joint in joints.values()]
    assert sorted(children) == sorted(set(links) - {"world"})  # one tree


@pytest.mark.skipif(shutil.which("check_urdf") is None, reason="apt install liburdfdom-tools")
def test_urdfdom_takes_the_expanded_urdf(urdf, tmp_path):
    path = tmp_path / "arm.urdf"
    path.write_text(ElementTree.tostring(urdf, encoding="unicode"))
    done = subprocess.run(["check_urdf", str(path)], capture_output=True, text=True)
    assert done.returncode == 0 and "Successfully Parsed XML" in done.stdout, done.stderr


def test_ros2_control_commands_the_joints_of_the_robot_file_from_home(urdf, request_of):
    robot = request_of.robot
    system = urdf.find("ros2_control")
    assert system.findtext("hardware/plugin").strip() == "gz_ros2_control/GazeboSimSystem"
    joints = {j.get("name"): j for j in system.findall("joint")}
    commanded = [n for n, j in joints.items() if j.find("command_interface") is not None]
    assert commanded == [*robot.arm_joints, robot.gripper.joint]
    assert set(joints) - set(commanded) == set(gazebo.mimic_joints(robot))
    start = [float(joints[n].findtext("state_interface/param")) for n in robot.arm_joints]
    np.testing.assert_allclose(start, robot.home_rad)
    for joint in joints.values():
        names = [e.get("name") for e in joint.findall("state_interface")]
        assert names == ["position", "velocity"]


def test_the_plugin_is_harmonics_in_the_namespace_with_the_controllers(urdf, tmp_path):
    plugin = urdf.find("gazebo/plugin")
    assert plugin.get("filename") == "gz_ros2_control-system"
    assert plugin.get("name") == "gz_ros2_control::GazeboSimROS2ControlPlugin"
    assert plugin.findtext("parameters") == str(tmp_path / "c.yaml")
    assert plugin.findtext("ros/namespace") == "/left"


def test_controllers_have_the_names_and_joints_of_the_robot_file(request_of):
    robot, nodes = request_of.robot, gazebo.controller_parameters(request_of)
    arm = nodes[f"/left/{robot.arm_controller}"]["ros__parameters"]
    fingers = nodes[f"/left/{robot.gripper_controller}"]["ros__parameters"]
    assert arm["joints"] == list(robot.arm_joints) and fingers["joints"] == [robot.gripper.joint]
    assert arm["command_interfaces"] == ["position"]
    assert arm["allow_nonzero_velocity_at_trajectory_end"] is False
    assert arm["interpolate_from_desired_state"] is True
    kinds = nodes["/left/controller_manager"]["ros__parameters"]
    for name in (robot.arm_controller, robot.gripper_controller):
        assert kinds[name]["type"] == "joint_trajectory_controller/JointTrajectoryController"
    broadcaster = kinds["joint_state_broadcaster"]["type"]
    assert broadcaster == "joint_state_broadcaster/JointStateBroadcaster"


def test_every_mimic_joint_follows_the_gripper_joint():
    assert gazebo.mimic_joints(load_robot("fr3")) == ["fr3_finger_joint2"]
    assert gazebo.mimic_joints(load_robot("ur5e")) == ["right_finger_joint"]
    assert gazebo.mimic_joints(load_robot("so101")) == []


def test_the_bridge_gives_the_topics_of_the_embedded_simulator_with_known_types():
    rows = yaml.safe_load(config_file("gazebo/bridge.yaml").read_text())
    for row in rows:
        assert set(row) <= KEYS and row["direction"] == "GZ_TO_ROS"
        assert PAIRS[row["ros_type_name"]] == row["gz_type_name"]
    names = {row["ros_topic_name"]: row["ros_type_name"] for row in rows}
    page = (config_file("mu0.yaml").parents[1] / "docs/reference/nodes.md").read_text()
    simulator = page.split("## simulator\n")[1].split("\n## ")[0]
    for topic, kind in names.items():
        assert f"| out | `{topic}` | {kind} |" in simulator


def test_the_bridge_listens_to_the_camera_of_the_world():
    root = ElementTree.parse(config_file("gazebo/table.sdf")).getroot()
    stem = root.findtext("world/model[@name='scene_camera']/link/sensor/topic")
    rows = yaml.safe_load(config_file("gazebo/bridge.yaml").read_text())
    heard = {row["gz_topic_name"] for row in rows}
    assert heard == {"/clock", *(f"/{stem}/{k}" for k in ("image", "depth_image", "camera_info"))}


def test_the_processes_name_what_exists(request_of, tmp_path):
    pytest.importorskip("xacro")
    world = gazebo.world_file(request_of, tmp_path)
    assert f">left/{OPTICAL_FRAME}<" in world.read_text()
    np.testing.assert_allclose(camera_pose(world), camera_pose(config_file("gazebo/table.sdf")))
    processes = {p.package: p for p in gazebo.plan_gazebo(request_of, tmp_path, world)}
    assert set(processes) == {
        "robot_state_publisher", "ros_gz_bridge", "ros_gz_sim", "controller_manager", "tf2_ros",
    }  # fmt: skip
    written = yaml.safe_load((tmp_path / "controllers.yaml").read_text())
    assert written == gazebo.controller_parameters(request_of)
    words = processes["tf2_ros"].arguments
    given = {words[k][2:]: float(words[k + 1]) for k in range(0, 14, 2)}
    pose = camera_pose(world)
    np.testing.assert_allclose([given[k] for k in "xyz"], pose[:3, 3], atol=1e-8)
    base = f"left/{request_of.robot.base_frame}"
    assert words[-4:] == ("--frame-id", base, "--child-frame-id", f"left/{OPTICAL_FRAME}")
    assert "mu0_table" in processes["ros_gz_sim"].arguments


def test_a_world_of_the_user_must_have_the_camera(tmp_path):
    path = tmp_path / "own.sdf"
    path.write_text("<sdf version='1.9'><world name='own'/></sdf>")
    with pytest.raises(ConfigError, match="scene_camera"):
        gazebo.world_file(asked(world=str(path)), tmp_path)


def test_without_xacro_the_refusal_names_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "xacro", None)
    with pytest.raises(ConfigError, match="ros-jazzy-xacro"):
        gazebo.robot_description(asked(), tmp_path / "c.yaml")
