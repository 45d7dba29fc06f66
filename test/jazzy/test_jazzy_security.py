# SPDX-License-Identifier: Apache-2.0
"""Row 55 of the fault catalogue: with SROS2 enforced, a stranger's commands have no effect."""

import os
import subprocess
import sys

import pytest

from mu0_core.robot.description import load_robot
from mu0_ros.testing.bench import NAMESPACE
from mu0_ros.testing.fault_loop import own_domain_id

# Sends commands until it is ended; whoever may hear them says so on stdout.
STRANGER = f"""
import rclpy
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory
rclpy.init()
node = Node("stranger", namespace="{NAMESPACE}")
publisher = node.create_publisher(JointTrajectory, "{{topic}}", 10)
node.create_timer(0.1, lambda: publisher.publish(JointTrajectory(joint_names=["stranger"])))
rclpy.spin(node)
"""
ARM = f"""
import rclpy, time
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory
rclpy.init()
node, heard = Node("arm", namespace="{NAMESPACE}"), []
node.create_subscription(JointTrajectory, "{{topic}}", heard.append, 10)
end = time.monotonic() + 8.0
while time.monotonic() < end:
    rclpy.spin_once(node, timeout_sec=0.1)
print(len(heard))
"""


def ros2(*words, env=None):
    subprocess.run(["ros2", "security", *words], check=True, timeout=60, env=env)


def run(code, topic, env, enclave=""):
    words = ["--ros-args", "--enclave", enclave] if enclave else []
    return subprocess.Popen(
        [sys.executable, "-c", code.replace("{topic}", topic), *words],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.jazzy
@pytest.mark.parametrize(
    ("enclave", "hears"), [("/gate", True), ("", False)], ids=["known", "stranger"]
)
def test_row_55_only_who_has_keys_reaches_the_controller(tmp_path, enclave, hears):
    topic = f"{load_robot('fr3').arm_controller}/joint_trajectory"
    ros2("create_keystore", str(tmp_path))
    for name in ("/arm", "/gate"):
        ros2("create_enclave", str(tmp_path), name)
    plain = {**os.environ, "ROS_DOMAIN_ID": str(own_domain_id())}
    secure = {
        **plain,
        "ROS_SECURITY_KEYSTORE": str(tmp_path),
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
    }
    arm = run(ARM, topic, secure, "/arm")
    other = run(STRANGER, topic, secure if enclave else plain, enclave)
    try:
        heard = int(arm.communicate(timeout=30)[0])
    finally:
        other.kill()
        other.wait()
    assert (heard > 0) == hears
