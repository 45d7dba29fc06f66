# SPDX-License-Identifier: Apache-2.0
"""The bench client lays out scenes; what the arm's jump to another place latched is over then."""

import pytest
from mu0.msg import SafetyStatus
from mu0.srv import EvaluateScene, ResetScene
from rclpy.node import Node

from mu0_ros.client import ClientError, TaskClient
from mu0_ros.testing.fault_loop import FaultLoop


class Scenes(Node):
    """Answers as the simulator does; a seed below zero is refused."""

    def __init__(self) -> None:
        super().__init__("simulator")
        self.create_service(ResetScene, "~/reset_scene", self._on_reset)
        self.create_service(EvaluateScene, "~/evaluate_scene", lambda _, answer: answer)

    def _on_reset(self, request, response):
        response.tasks, response.instructions = ["push"], ["push the block"]
        if request.seed > 1000:
            response.error.value, response.error.message = 1, "no such scene"
        return response


@pytest.fixture
def loop():
    with FaultLoop() as fault_loop:
        fault_loop.bench.add(Scenes())
        fault_loop.client = TaskClient()
        yield fault_loop
        fault_loop.client.destroy_node()


def lay_out(loop, seed):
    """Reset the scene as another process would; return what it gave or raised."""
    got = []

    def ask():
        try:
            loop.client.wait_until_ready(5.0)
            got.append(loop.client.reset_scene(seed))
        except ClientError as error:
            got.append(error)

    loop.bench.turning(ask)
    return got[0]


def test_a_new_scene_unlatches_the_gate(loop):
    loop.start_and_move()
    loop.robot.faults.blocked = True
    latched = SafetyStatus.STATE_LATCHED
    loop.bench.until(lambda: loop.safety[-1].state == latched, 5.0, "latch")
    loop.robot.faults.blocked = False
    assert lay_out(loop, 3) == {"push": "push the block"}
    loop.bench.until(lambda: loop.safety[-1].state != latched, 2.0, "a gate that is not latched")
    loop.judge()


def test_a_scene_that_is_refused_says_why(loop):
    error = lay_out(loop, 2000)
    assert isinstance(error, ClientError) and "no such scene" in str(error)
