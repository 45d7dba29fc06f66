# SPDX-License-Identifier: Apache-2.0
"""``~/go_home`` and checked chunks, through the real gate, the real task server and a mock arm."""

import numpy as np
import pytest
from mu0.msg import ActionChunk, SafetyStatus, TaskStatus
from mu0.srv import CancelTask, ExecuteTask
from std_srvs.srv import Trigger

from mu0_ros import qos
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.nodes.safety_gate_node import SafetyGateNode
from mu0_ros.nodes.task_server_node import TaskServerNode
from mu0_ros.testing.bench import Bench
from mu0_ros.testing.mock_robot import MockRobot

pytest.importorskip("roboplan.rrt")

PLANNER = {"backend": "fake", "planner": "roboplan"}


class Stage:
    """Gate, task server and expert around a mock arm that stands away from home."""

    def __init__(self, bench, start=True):
        self.bench = bench
        self.robot = bench.add(MockRobot())
        self.away = self.robot.robot.home_rad.copy()
        self.away[[0, 3]] += [0.35, 0.5]
        self.robot._arm.set_initial(self.away)
        self.tasks = bench.collect(TaskStatus, "task_status", qos.LATCHED)
        self.gate = bench.collect(SafetyStatus, "safety_status", qos.LATCHED)
        self.chunks = bench.collect(ActionChunk, "action_chunk", qos.NEWEST)
        bench.add(SafetyGateNode())
        bench.add(TaskServerNode())
        self.node = bench.add(ActionExpertNode())
        bench.until(lambda: self.node._state is not None and self.gate and self.tasks)
        self.client = bench.probe.create_client(Trigger, "action_expert/go_home")
        bench.until(self.client.service_is_ready, what="go_home")

    def go_home(self):
        return self.client.call_async(Trigger.Request())

    def answer(self, timeout_s=40.0):
        future = self.go_home()
        self.bench.until(future.done, timeout_s, "answer of go_home")
        return future.result()

    @property
    def measured(self):
        return self.robot._measured


@pytest.fixture
def stage(request):
    given = {"action_expert": {**PLANNER}, "safety_gate": {}}
    for node, values in getattr(request, "param", {}).items():
        given[node].update(values)
    with Bench(given) as bench:
        yield Stage(bench)


def test_the_arm_goes_home_around_what_the_camera_sees(stage):
    seen = []
    look = stage.node._planning.look_around
    stage.node._planning.look_around = lambda *a: seen.append(look(*a)) or seen[-1]
    answer = stage.answer()
    assert answer.success and "at home after" in answer.message, answer.message
    assert np.allclose(stage.measured, stage.robot.robot.home_rad, atol=0.02)
    scene, stamp_ns = seen[0]
    assert [box.name for box in scene.boxes] == ["floor"] and stamp_ns > 0
    stage.bench.until(lambda: stage.tasks[-1].state == TaskStatus.STATE_CANCELED)
    assert stage.tasks[-1].instruction == "go home"
    (chunk,) = stage.chunks
    assert chunk.model_id == "roboplan" and chunk.task_id == stage.tasks[-1].task_id
    moved = np.array(stage.robot.motion.velocities)
    assert (np.abs(moved) <= stage.robot.robot.limits.velocity_rad_s).all()
    assert stage.answer().message == "the arm is at home"


@pytest.mark.parametrize("stage", [{"safety_gate": {"speed_scale": 0.1}}], indirect=True)
def test_who_is_on_the_way_can_be_stopped_by_cancelling_the_task(stage):
    future = stage.go_home()
    stage.bench.until(lambda: stage.robot.accepted, 30.0, "motion")
    stage.bench.spin_for(0.3)
    busy = stage.answer()
    assert not busy.success and busy.message.startswith("BUSY: on the way home already")
    stage.bench.call(CancelTask, "cancel_task", CancelTask.Request())
    stage.bench.until(future.done, 10.0, "answer of go_home")
    assert not future.result().success and "ended: cancelled" in future.result().message
    stage.bench.until(lambda: stage.robot.at_rest, what="rest")
    assert not np.allclose(stage.measured, stage.robot.robot.home_rad, atol=0.02)


def test_another_task_is_not_interrupted(stage):
    stage.bench.call(ExecuteTask, "execute_task", ExecuteTask.Request(instruction="push"))
    answer = stage.answer()
    assert not answer.success and answer.message.startswith("BUSY: a task is running")
    assert stage.chunks == []


@pytest.mark.parametrize("stage", [{"safety_gate": {"dry_run": True}}], indirect=True)
def test_in_dry_run_nobody_says_that_the_arm_is_home(stage):
    answer = stage.answer()
    assert not answer.success and "the arm did not follow" in answer.message
    assert np.allclose(stage.measured, stage.away)


@pytest.mark.parametrize("stage", [{"action_expert": {"planner": "none"}}], indirect=True)
def test_without_a_planner_nothing_moves(stage):
    answer = stage.answer()
    assert not answer.success and answer.message.startswith("NOT_READY: go_home needs a planner")
    assert stage.robot.accepted == []


def test_who_sees_nothing_does_not_move(stage):
    stage.robot.faults.depth = False
    stage.bench.spin_for(1.5)
    answer = stage.answer()
    assert not answer.success and answer.message.startswith("OBSERVATION_STALE"), answer.message
    assert stage.robot.accepted == []


@pytest.mark.parametrize(
    "values, message",
    [
        ({"planner": "ompl"}, "planner 'ompl': allowed are none, roboplan, move_group, moveit_py"),
        ({"planner": "move_group"}, "MoveIt needs planning_group"),
        ({"planner": "move_group", "planning_group": "arm"}, "ros-jazzy-moveit-msgs"),
        ({"planner": "moveit_py"}, "MoveIt needs planning_group"),
    ],
)
def test_a_planner_that_cannot_be_refuses_the_configuration(values, message, capfd):
    with Bench({"action_expert": {"backend": "fake", **values}}) as bench:
        node = bench.add(ActionExpertNode(), start=False)
        assert not node.autostart()
        assert message in node._last_error
