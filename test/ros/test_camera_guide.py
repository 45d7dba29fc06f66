# SPDX-License-Identifier: Apache-2.0
"""docs/how-to/run-on-your-camera.md works: a camera elsewhere, forecasts alone, then a dry run."""

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from mu0.msg import ActionChunk, SafetyStatus, TraceArray
from mu0.srv import ExecuteTask
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from mu0_ros import qos
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.nodes.safety_gate_node import SafetyGateNode
from mu0_ros.nodes.task_server_node import TaskServerNode
from mu0_ros.nodes.trace_forecaster_node import TraceForecasterNode
from mu0_ros.nodes.visualizer_node import VisualizerNode
from mu0_ros.testing.bench import Bench
from mu0_ros.testing.mock_robot import CAMERA_FRAME, MockRobot

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "run-on-your-camera.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
DRIVER = {
    "color/image_raw": "/camera/color/image_rect_raw",
    "depth/image_raw": "/camera/aligned_depth_to_color/image_raw",
    "color/camera_info": "/camera/color/camera_info",
    "joint_states": "/joint_states",
    "arm_controller/joint_trajectory": "/arm_controller/joint_trajectory",
    "gripper_controller/joint_trajectory": "/gripper_controller/joint_trajectory",
}
FAKES = {
    "trace_forecaster": {"backend": "fake", "answer_timeout_s": 0.3},
    "action_expert": {"backend": "fake"},
}


def block(kind):
    return "\n".join(text for name, text in BLOCKS if name == kind)


def commands():
    """Program -> its arguments, of every ``ros2 run`` on the page."""
    lines = [line for line in block("").replace("\\\n", " ").splitlines() if "ros2 run" in line]
    return {words[3]: words[4:] for words in map(shlex.split, lines)}


def remappings(arguments):
    return dict(
        rule.split(":=")
        for flag, rule in pairwise(arguments)
        if flag == "-r" and not rule.startswith("__")
    )


def test_the_commands_remap_what_the_nodes_have():
    found = commands()
    assert set(found) == {
        "trace_forecaster_node",
        "visualizer_node",
        "task_server_node",
        "action_expert_node",
        "safety_gate_node",
    }
    for program, arguments in found.items():
        assert (ROOT / "scripts" / program).is_file()
        assert "__ns:=/mu0" in arguments
    rules = {key: value for a in found.values() for key, value in remappings(a).items()}
    assert rules == DRIVER


@pytest.fixture
def bench():
    """The names of the page and a mock robot in the part of the driver, remapped as well."""
    own = yaml.safe_load(block("yaml"))["/**"]["ros__parameters"]
    own["camera_frame"] = CAMERA_FRAME  # of the mock
    parameters = {name: dict(values) for name, values in FAKES.items()}
    parameters["action_expert"] |= {k: v for k, v in own.items() if k != "dry_run"}
    parameters["safety_gate"] = {"dry_run": own["dry_run"]}
    rules = [word for rule in DRIVER.items() for word in ("-r", ":=".join(rule))]
    with Bench(parameters, arguments=rules) as made:
        made.add(MockRobot())
        yield made


def test_the_camera_alone_gives_forecasts_and_an_overlay(bench):
    traces = bench.collect(TraceArray, "traces", qos.NEWEST)
    overlays = bench.collect(Image, "traces/overlay", qos.NEWEST)
    commanded = bench.collect(JointTrajectory, "/arm_controller/joint_trajectory", qos.COMMAND)
    for make in (TraceForecasterNode, VisualizerNode, TaskServerNode, SafetyGateNode):
        bench.add(make())
    assert bench.probe.count_publishers("/camera/color/image_rect_raw") == 1
    code = block("python").replace("20.0", "2.5")
    env = {**os.environ, "ROS_DOMAIN_ID": str(bench.domain_id)}
    client = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE)
    try:
        bench.until(lambda: client.poll() is not None, 30.0, "end of the task")
    finally:
        client.kill()
    assert client.returncode == 0 and b"TaskEnd" in client.stdout.read()
    assert len(traces) >= 2 and overlays
    assert commanded == []


def test_a_dry_run_with_the_pose_of_the_page_judges_and_commands_nothing(bench):
    chunks = bench.collect(ActionChunk, "action_chunk", qos.NEWEST)
    safety = bench.collect(SafetyStatus, "safety_status")
    commanded = bench.collect(JointTrajectory, "/arm_controller/joint_trajectory", qos.COMMAND)
    for make in (TraceForecasterNode, TaskServerNode, ActionExpertNode, SafetyGateNode):
        bench.add(make())
    answer = bench.call(ExecuteTask, "execute_task", ExecuteTask.Request(instruction="push"))
    assert answer.accepted
    bench.until(lambda: safety and safety[-1].chunks_accepted > 1, 10.0, "chunks judged")
    assert chunks and commanded == []
    topic = "/arm_controller/joint_trajectory"
    bench.until(lambda: bench.probe.count_publishers(topic) == 1, what="the gate's publisher")
