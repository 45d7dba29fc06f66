# SPDX-License-Identifier: Apache-2.0
"""``mu0 doctor --live`` as a process beside real nodes: healthy, and with faults at once."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("rclpy")
from mu0.msg import TraceArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from mu0_ros.testing.bench import NAMESPACE
from mu0_ros.testing.fault_loop import FaultLoop

SECONDS = 4.0


def look(loop: FaultLoop) -> dict[str, tuple[str, str]]:
    """Return name -> (level, found) of the doctor's findings while the nodes run."""
    arguments = [str(SECONDS), "fr3", "--ros-args", "-r", f"__ns:={NAMESPACE}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mu0_ros.live_check", *arguments],
        env={**os.environ, "ROS_DOMAIN_ID": str(loop.bench.domain_id)},
        stdout=subprocess.PIPE,
        text=True,
    )
    loop.bench.until(lambda: process.poll() is not None, 60.0, "the doctor's end")
    lines = [json.loads(line) for line in process.stdout.read().splitlines() if line[:1] == "{"]
    assert process.returncode == 0 and lines
    return {line["name"]: (line["level"], line["found"]) for line in lines}


def test_a_healthy_stack_and_one_with_faults():
    with FaultLoop() as loop:
        found = look(loop)
        failed = {name: f for name, f in found.items() if f[0] == "FAIL"}
        assert not failed
        assert "active" in found["node trace_forecaster"][1]
        assert "wall, the same for 4 nodes" in found["clock"][1]
        assert "camera_color_optical_frame at (0.500" in found["place of the camera"][1]
        assert found["arm_controller/joint_trajectory"][1].startswith("/mu0/safety_gate -> ")
        assert found["gate"][1].startswith("IDLE")

        intruder = loop.bench.add(Node("intruder"))
        intruder.create_publisher(JointTrajectory, "arm_controller/joint_trajectory", 10)
        intruder.create_subscription(Image, "color/image_raw", print, 10)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        intruder.create_subscription(TraceArray, "traces", print, latched)
        loop.robot.faults.depth = False
        loop.robot.faults.stamp_offset_s = -500.0
        loop.nodes["task_server"].trigger_deactivate()
        found = look(loop)
    failed = {name: text for name, (level, text) in found.items() if level == "FAIL"}
    assert "/mu0/intruder commands" in failed["arm_controller/joint_trajectory"]
    assert "/mu0/intruder (reliable" in failed["quality of color/image_raw"]
    assert "(reliable, not latched) -> /mu0/intruder" in failed["quality of traces"]
    assert "nothing came" in failed["depth/image_raw"]
    assert "of another clock, or zero" in failed["color/image_raw"]
    assert "inactive" in failed["node task_server"]
    assert "node safety_gate" not in failed and "joint_states" not in failed


def test_it_only_listens():
    with FaultLoop() as loop:
        answer = loop.bench.call(Trigger, "safety_gate/stop", Trigger.Request())
        assert answer.success
        before = len(loop.robot.accepted)
        found = look(loop)
        assert len(loop.robot.accepted) == before
        assert found["gate"][0] == "ok"
