# SPDX-License-Identifier: Apache-2.0
"""The geometric expert behind its node, and the small arm's simulator as a robot."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
from mu0.msg import ActionChunk, ErrorCode, ModelInfo, TaskStatus, TraceArray
from mu0.srv import EvaluateScene, ResetScene
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory
from unique_identifier_msgs.msg import UUID

from mu0_core.action_expert.geometric.geometric_expert import GeometricExpert
from mu0_core.geometry import se3
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.spline.basis import bezier_knots
from mu0_core.types import JointTrajectory as Way
from mu0_core.types import Proprioception, QueryPoints, Role, TraceForecast
from mu0_ros import qos
from mu0_ros.conversions.action_chunk import chunk_from_msg
from mu0_ros.conversions.trace import forecast_from_msg, msg_from_forecast
from mu0_ros.conversions.trajectory import msg_from_trajectory
from mu0_ros.flat_table import CAMERA_FRAME, T_BASE_CAMERA
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.nodes.simulator_node import SimulatorNode
from mu0_ros.testing.bench import Bench
from mu0_ros.testing.mock_robot import MockRobot

TASK = UUID(uuid=np.full(16, 5, np.uint8))


def traces(robot, now_ns, *, lift_m):
    """Return a forecast of a cube beside the tip that is lifted and carried 8 cm to the left."""
    size = 0.02 * robot.work_scale
    tip = Kinematics(robot).tip(robot.home_rad)[:3, 3]
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)], float)
    cube = size * corners + [tip[0] + 0.03, tip[1] - 0.05, 0.0]
    way = np.linspace(0.0, 1.0, 10)[:, None] * [0.0, 0.08 if lift_m else 0.0, lift_m]
    control = se3.apply(se3.inverse(T_BASE_CAMERA), cube[:, None] + way)
    count = len(cube)
    query = QueryPoints(
        np.zeros((count, 2), np.float32), np.ones(count, np.float32),
        np.arange(count, dtype=np.uint32), np.zeros(count, np.uint16),
        np.full(count, Role.UNKNOWN, np.uint8), 160, 120,
    )  # fmt: skip
    return TraceForecast(
        control.astype(np.float32), bezier_knots(10), 3, np.ones(count, np.float32), None,
        query, "lift the cube", "test", CAMERA_FRAME, now_ns, 1,
    )  # fmt: skip


class Stage:
    """The expert's node for one arm, a mock of that arm, and the test as forecaster."""

    def __init__(self, bench, robot):
        self.bench, self.robot = bench, load_robot(robot)
        self.chunks = bench.collect(ActionChunk, "action_chunk", qos.NEWEST)
        self.faults = bench.collect(ErrorCode, "faults", qos.COMMAND)
        self.info = bench.collect(ModelInfo, "model_info_action", qos.LATCHED)
        self.traces = bench.probe.create_publisher(TraceArray, "traces", qos.NEWEST)
        task = bench.probe.create_publisher(TaskStatus, "task_status", qos.LATCHED)
        bench.add(MockRobot(robot))
        self.node = bench.add(ActionExpertNode())
        task.publish(TaskStatus(state=TaskStatus.STATE_EXECUTING, task_id=TASK))
        bench.until(
            lambda: (
                self.node._state is not None
                and self.traces.get_subscription_count()
                and self.node._task.state == TaskStatus.STATE_EXECUTING
                and self.node._transforms._poses
            ),
            what="joint states, task and camera pose",
        )

    def forecast(self, lift_m):
        now_ns = self.bench.probe.get_clock().now().nanoseconds
        message = msg_from_forecast(traces(self.robot, now_ns, lift_m=lift_m), TASK)
        self.traces.publish(message)
        return forecast_from_msg(message)


@pytest.fixture(params=["fr3", "so101"])
def stage(request):
    # the model is not named: both arms' files decide, and the FR3's names a learned one
    values = {"robot": request.param, "max_trace_age_s": 20.0}
    if request.param == "fr3":
        values["model_id"] = "geometric"
    with Bench({"action_expert": values}) as bench:
        yield Stage(bench, request.param)


def test_the_node_proposes_what_the_expert_does_directly(stage):
    seen = stage.forecast(lift_m=0.1)
    stage.bench.until(lambda: stage.chunks, 20.0, what="a chunk")
    robot = stage.robot
    message = stage.chunks[0]
    received = chunk_from_msg(message, robot.gripper)
    state = Proprioception(robot.home_rad, None, robot.gripper.open_m, seen.stamp_ns)
    direct = GeometricExpert(robot).propose(seen, state, T_BASE_CAMERA, start_ns=0)
    np.testing.assert_allclose(received.positions_rad, direct.positions_rad, atol=1e-6)
    np.testing.assert_allclose(received.gripper_m, direct.gripper_m, atol=1e-9)
    assert received.model_id == stage.info[0].model_id == "geometric"
    assert tuple(message.joint_names) == robot.arm_joints
    moved = Kinematics(robot).tip(received.positions_rad[[0, -1]])[:, :3, 3]
    assert np.linalg.norm(moved[1] - moved[0]) > 0.02


def test_traces_without_a_motion_leave_the_arm_where_it_is(stage):
    stage.forecast(lift_m=0.0)
    stage.bench.until(lambda: stage.chunks, 20.0, what="a chunk")
    received = chunk_from_msg(stage.chunks[0], stage.robot.gripper)
    still = np.tile(stage.robot.home_rad, (len(received.positions_rad), 1))
    np.testing.assert_allclose(received.positions_rad, still, atol=0.05)
    assert stage.faults == []


def test_the_small_arm_stands_in_the_simulator_and_follows_its_trajectories():
    values = {"robot": "so101", "width": 160, "height": 120, "seed": 50_000}
    with Bench({"simulator": values}) as bench:
        states = bench.collect(JointState, "joint_states", qos.STATE_STREAM)
        images = bench.collect(Image, "color/image_raw", qos.SENSOR)
        infos = bench.collect(CameraInfo, "color/camera_info", qos.SENSOR)
        robot = load_robot("so101")
        arm = bench.probe.create_publisher(
            JointTrajectory, f"{robot.arm_controller}/joint_trajectory", qos.COMMAND
        )
        bench.add(SimulatorNode())
        bench.until(lambda: states and images and infos, 20.0, "a robot and its camera")
        assert list(states[-1].name) == [*robot.arm_joints, robot.gripper.joint]
        answer = bench.call(ResetScene, "simulator/reset_scene", ResetScene.Request(seed=3), 20.0)
        assert answer.error.value == ErrorCode.SUCCESS and "press_button" in answer.tasks
        judged = bench.call(
            EvaluateScene, "simulator/evaluate_scene", EvaluateScene.Request(), 20.0
        )
        assert len(judged.success) == 6 and not any(judged.success)
        before = np.array(states[-1].position)
        opening = before[-1] * robot.gripper.opening_per_joint_m
        assert opening == pytest.approx(robot.gripper.open_m, abs=2e-3)
        goal = before[:-1] + [0.2, 0.0, 0.0, 0.0, 0.0]
        bench.until(arm.get_subscription_count, what="the controller")
        arm.publish(msg_from_trajectory(Way(robot.arm_joints, np.array([0.5]), goal[None])))
        bench.until(
            lambda: abs(states[-1].position[0] - goal[0]) < 0.01, 20.0, "the pan joint at its goal"
        )
