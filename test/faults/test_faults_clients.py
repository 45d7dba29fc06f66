# SPDX-License-Identifier: Apache-2.0
"""Row 46 of the fault catalogue: who asked for a task dies while it runs. Real processes."""

import os
import signal
import subprocess
import sys

import pytest
from mu0.msg import TaskStatus

from mu0_ros.task_states import RUNNING
from mu0_ros.testing.bench import NAMESPACE
from mu0_ros.testing.fault_loop import FaultLoop

S = TaskStatus
CLIENT = f"""
import sys, time, rclpy
from rclpy.action import ActionClient
from rclpy.node import Node
from mu0.action import ExecuteTask as Action
from mu0.srv import ExecuteTask as Service
rclpy.init()
node = Node("client", namespace="{NAMESPACE}")
if sys.argv[1] == "action":
    client = ActionClient(node, Action, "run_task")
    client.wait_for_server()
    future = client.send_goal_async(Action.Goal(instruction="push the block"))
else:
    client = node.create_client(Service, "execute_task")
    client.wait_for_service()
    future = client.call_async(Service.Request(instruction="push the block"))
rclpy.spin_until_future_complete(node, future)
rclpy.spin(node)
"""
PROFILE = """<?xml version="1.0" encoding="UTF-8" ?>
<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
  <participant profile_name="default" is_default_profile="true">
    <rtps><builtin><discovery_config>
      <leaseDuration><sec>2</sec></leaseDuration>
      <leaseAnnouncement><sec>0</sec><nanosec>500000000</nanosec></leaseAnnouncement>
    </discovery_config></builtin></rtps>
  </participant>
</profiles>
"""


@pytest.fixture
def ask(tmp_path):
    """Start a client that asks for a task and waits; discovery gives it up 2 s after its death."""
    profile, started = tmp_path / "short_lease.xml", []
    profile.write_text(PROFILE)

    def start(loop: FaultLoop, how: str) -> subprocess.Popen:
        env = {
            **os.environ,
            "ROS_DOMAIN_ID": str(loop.bench.domain_id),
            "FASTRTPS_DEFAULT_PROFILES_FILE": str(profile),
        }
        started.append(subprocess.Popen([sys.executable, "-c", CLIENT, how], env=env))
        loop.wait_for_motion(15.0)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ends", "is killed"])
def test_row_46_the_client_of_the_action_is_gone(ask, number, note_rest):
    with FaultLoop() as loop:
        client = ask(loop, "action")
        client.send_signal(number)
        client.wait()
        loop.bench.until(lambda: loop.status[-1].state not in RUNNING, what="stopping")
        loop.wait_for_rest()
        note_rest(loop.rest_s)
        end = loop.wait_for_end()
        assert end.state == S.STATE_CANCELED and loop.robot.at_rest
        assert "the action client is gone" in end.error.message
        loop.judge()


def test_row_46_the_client_of_the_service_is_gone_and_its_task_goes_on(ask):
    with FaultLoop() as loop:
        client = ask(loop, "service")
        client.kill()
        client.wait()
        loop.bench.spin_for(3.0)  # longer than its lease
        loop.wait_for_round()
        assert loop.status[-1].state in RUNNING
        loop.judge()
