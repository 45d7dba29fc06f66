# SPDX-License-Identifier: Apache-2.0
"""Two robots in two namespaces do not hear each other: names, and then two real processes."""

import os
import subprocess
import sys

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from mu0_core.robot.description import load_robot
from mu0_ros import qos
from mu0_ros.bringup.plan import plan_nodes
from mu0_ros.bringup.request import read_request
from mu0_ros.conversions.stamp import duration_from_s
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.nodes.mock_robot_node import MockRobotNode
from mu0_ros.nodes.safety_gate_node import SafetyGateNode
from mu0_ros.nodes.simulator_node import SimulatorNode
from mu0_ros.nodes.task_server_node import TaskServerNode
from mu0_ros.nodes.trace_forecaster_node import TraceForecasterNode
from mu0_ros.nodes.visualizer_node import VisualizerNode
from mu0_ros.testing.bench import Bench

EVERYBODY = {"/diagnostics", "/rosout", "/parameter_events", "/clock", "/tf", "/tf_static"}
FAKE = {"backend": "fake"}


def test_every_name_of_every_node_is_relative():
    """What is not in the namespace is one of the few names that all of ROS shares."""
    with Bench({"trace_forecaster": FAKE, "action_expert": FAKE}) as bench:
        for make in (
            SimulatorNode,
            MockRobotNode,
            TraceForecasterNode,
            ActionExpertNode,
            SafetyGateNode,
            TaskServerNode,
            VisualizerNode,
        ):
            node = bench.add(make(), start=False)
            node.trigger_configure()
            assert node.configured
        probe = bench.probe
        bench.until(lambda: any(n == "/mu0/traces" for n, _ in probe.get_topic_names_and_types()))
        topics = {name for name, _ in probe.get_topic_names_and_types()}
        services = {name for name, _ in probe.get_service_names_and_types()}
    assert len(topics) > 20 and len(services) > 20
    assert {n for n in topics if not n.startswith("/mu0/")} <= EVERYBODY
    assert {n for n in services if not n.startswith("/mu0/")} == set()


def request_in(namespace, **given):
    return read_request({"namespace": namespace, **given})


@pytest.mark.parametrize("sim", ["mujoco", "mock", "gazebo"])
def test_simulated_robots_share_neither_clock_nor_frames(sim):
    left, right, alone = (request_in(name, sim=sim) for name in ("left", "right", "mu0"))
    assert len({r.clock for r in (left, right, alone)}) == 3
    assert len({r.frame_prefix for r in (left, right, alone)}) == 3
    for request in (left, right):
        for process in plan_nodes(request):
            assert process.remappings["/clock"] == f"/{request.namespace}/clock"
            assert process.namespace == request.namespace


def test_real_arms_share_no_topic_unless_their_drivers_stand_in_the_root():
    for namespace in ("left", "right"):
        request = request_in(namespace, sim="real")
        for process in plan_nodes(request):
            assert not [name for name in process.remappings.values() if name.startswith("/")]


def started(namespace, domain_id):
    """Start a mock robot as the launch file would."""
    request = request_in(namespace, sim="mock")
    process = next(p for p in plan_nodes(request) if p.name == "mock_robot")
    words = ["--ros-args", "-r", f"__ns:=/{process.namespace}"]
    for name, value in process.parameters.items():
        text = str(value).lower() if isinstance(value, bool) else value
        words += ["-p", f"{name}:={text}"]
    for own, wire in process.remappings.items():
        words += ["-r", f"{own}:={wire}"]
    env = {**os.environ, "ROS_DOMAIN_ID": str(domain_id)}
    module = f"mu0_ros.nodes.{process.executable}"
    return subprocess.Popen([sys.executable, "-m", module, *words], env=env)


def test_a_command_for_the_left_arm_does_not_move_the_right_one():
    robot = load_robot("fr3")
    with Bench() as bench:
        processes = [started(side, bench.domain_id) for side in ("left", "right")]
        try:
            states = {
                side: bench.collect(JointState, f"/{side}/joint_states", qos.STATE_STREAM)
                for side in ("left", "right")
            }
            poses = bench.collect(TransformStamped, "/right/camera_pose")
            topic = f"/left/{robot.arm_controller}/joint_trajectory"
            publisher = bench.probe.create_publisher(JointTrajectory, topic, qos.COMMAND)
            bench.until(lambda: all(states.values()) and poses, 40.0, "both arms")
            bench.until(publisher.get_subscription_count)
            assert publisher.get_subscription_count() == 1
            goal = robot.home_rad + 0.1
            point = JointTrajectoryPoint(positions=goal.tolist(), velocities=[0.0] * len(goal))
            point.time_from_start = duration_from_s(0.5)
            message = JointTrajectory(joint_names=list(robot.arm_joints), points=[point])
            publisher.publish(message)

            def arrived():
                return np.allclose(states["left"][-1].position[:-1], goal)

            bench.until(arrived, 10.0, "the left arm's arrival")
            for state in states["right"]:
                np.testing.assert_array_equal(state.position[:-1], robot.home_rad)
            assert {state.header.frame_id for state in states["right"]} == {"right/fr3_link0"}
            assert poses[-1].child_frame_id.startswith("right/")
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(timeout=15)
