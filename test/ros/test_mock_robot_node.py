# SPDX-License-Identifier: Apache-2.0
"""The mock robot as a node, and the whole stack around it."""

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from mu0.msg import ModelInfo, SafetyStatus
from mu0.srv import ExecuteTask
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from mu0_core.robot.description import load_robot
from mu0_ros import qos
from mu0_ros.conversions.stamp import duration_from_s
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.nodes.mock_robot_node import MockRobotNode
from mu0_ros.nodes.safety_gate_node import SafetyGateNode
from mu0_ros.nodes.task_server_node import TaskServerNode
from mu0_ros.nodes.trace_forecaster_node import TraceForecasterNode
from mu0_ros.testing.bench import Bench

ROBOTS = ("fr3", "ur5e", "so101")


def reach(robot, by_rad=0.1, time_s=0.4):
    """Return a trajectory of the first joint by so much from home, that ends at rest."""
    target = robot.home_rad.copy()
    target[0] += by_rad
    still = [0.0] * len(target)
    point = JointTrajectoryPoint(positions=target.tolist(), velocities=still)
    point.time_from_start = duration_from_s(time_s)
    return JointTrajectory(joint_names=list(robot.arm_joints), points=[point])


@pytest.mark.parametrize("name", ROBOTS)
def test_it_tracks_a_trajectory_and_stops(name):
    robot = load_robot(name)
    with Bench({"mock_robot": {"robot": name, "camera": False}}) as bench:
        states = bench.collect(JointState, "joint_states", qos.STATE_STREAM)
        node = bench.add(MockRobotNode())
        topic = f"{robot.arm_controller}/joint_trajectory"
        publisher = bench.probe.create_publisher(JointTrajectory, topic, qos.COMMAND)
        bench.until(lambda: states and publisher.get_subscription_count())
        assert states[-1].name == [*robot.arm_joints, robot.gripper.joint]
        np.testing.assert_allclose(states[-1].position[:-1], robot.home_rad)
        publisher.publish(reach(robot))
        goal = robot.home_rad[0] + 0.1
        bench.until(lambda: abs(states[-1].position[0] - goal) < 1e-9, what="arrival")
        assert states[-1].velocity[0] == 0.0
        bad = reach(robot)
        bad.points[0].positions[0] = float("nan")
        publisher.publish(bad)
        refused = f"{robot.arm_controller}: CONTROLLER_REJECTED"
        bench.until(lambda: node.counters[refused] == 1, what="refusal")
        assert states[-1].position[0] == pytest.approx(goal)


def test_without_a_camera_no_image_and_no_pose_is_offered():
    with Bench({"mock_robot": {"camera": False}}) as bench:
        bench.add(MockRobotNode())
        for topic in ("color/image_raw", "depth/image_raw", "color/camera_info", "camera_pose"):
            assert bench.probe.count_publishers(topic) == 0


def test_the_stack_moves_a_mock_of_an_arm_that_has_no_trained_expert():
    fakes = {"backend": "fake"}
    parameters = {
        "mock_robot": {"robot": "so101", "frame_prefix": "left/"},
        "trace_forecaster": fakes,
        "action_expert": {**fakes, "robot": "so101", "frame_prefix": "left/"},
        "safety_gate": {"robot": "so101"},
    }
    with Bench(parameters) as bench:
        safety = bench.collect(SafetyStatus, "safety_status")
        poses = bench.collect(TransformStamped, "camera_pose")
        images = bench.collect(Image, "color/image_raw", qos.SENSOR)
        for make in (
            MockRobotNode,
            TraceForecasterNode,
            ActionExpertNode,
            SafetyGateNode,
            TaskServerNode,
        ):
            bench.add(make())
        bench.until(lambda: images and poses)
        assert poses[-1].header.frame_id == "left/base_link"
        assert poses[-1].child_frame_id == images[-1].header.frame_id
        assert images[-1].header.frame_id.startswith("left/")
        request = ExecuteTask.Request(instruction="push")
        assert bench.call(ExecuteTask, "execute_task", request).accepted
        bench.until(lambda: safety and safety[-1].chunks_accepted > 0, 15.0, "a chunk accepted")


@pytest.mark.parametrize("name", ["ur5e", "so101"])
def test_the_expert_of_an_arm_without_a_trained_one_is_the_geometric_one(name):
    parameters = {"action_expert": {"robot": name, "transform_source": "topic"}}
    with Bench(parameters) as bench:
        infos = bench.collect(ModelInfo, "model_info_action")
        bench.add(ActionExpertNode())
        bench.until(lambda: infos)
    assert infos[0].model_id == "geometric" and infos[0].embodiment == name
    assert infos[0].sha256 == ""  # no weights
