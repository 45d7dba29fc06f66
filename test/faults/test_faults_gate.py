# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue about what stands around the gate: obstacles, controllers, stops."""

import numpy as np
import yaml
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from mu0_core.robot.description import load_robot
from mu0_ros import qos
from mu0_ros.task_states import RUNNING
from mu0_ros.testing.fault_loop import FaultLoop

ARM_TOPIC = "arm_controller/joint_trajectory"
RESET = "safety_gate/reset"


def test_row_11_an_obstacle_in_the_way_is_not_driven_into(tmp_path):
    around = {"name": "crate", "centre_m": [0.3, 0.0, 0.3], "size_m": [0.5, 0.5, 0.6]}
    file = tmp_path / "obstacles.yaml"
    file.write_text(yaml.safe_dump({"boxes": [around]}))
    with FaultLoop({"safety_gate": {"obstacles": str(file)}}) as loop:
        assert loop.start().accepted
        cause = loop.wait_for_cause("COLLISION_PREDICTED")
        assert "crate" in cause.cause.message
        assert np.isfinite(loop.safety[-1].min_clearance)
        loop.wait_for_end()
        assert loop.robot.at_rest and loop.robot.accepted == []


def test_row_11_points_that_are_required_and_missing_refuse_motion():
    with FaultLoop({"safety_gate": {"points_topic": "points"}}) as loop:
        cloud = loop.bench.probe.create_publisher(PointCloud2, "points", 1)
        assert loop.start().accepted
        assert "points" in loop.wait_for_cause("NOT_READY").cause.message
        assert loop.robot.accepted == []
        empty = PointCloud2(height=1, width=0, point_step=12, row_step=0)
        empty.fields = [
            PointField(name=n, offset=4 * k, datatype=PointField.FLOAT32, count=1)
            for k, n in enumerate("xyz")
        ]
        empty.header.frame_id = loop.robot.robot.base_frame
        loop.wait_for_end()

        def shown() -> bool:
            empty.header.stamp = loop.bench.probe.get_clock().now().to_msg()
            cloud.publish(empty)
            if loop.status[-1].state not in RUNNING:
                loop.start()
            return loop.speed() > 0.1

        loop.bench.until(shown, 15.0, "motion once there are points")


def test_row_31_somebody_else_commands_the_controller(note_rest):
    with FaultLoop() as loop:
        loop.start_and_move()
        rogue = loop.bench.probe.create_publisher(JointTrajectory, ARM_TOPIC, qos.COMMAND)
        assert "/mu0/probe" in loop.wait_for_cause("NOT_READY", 8.0).cause.message
        loop.wait_for_rest()
        note_rest(loop.rest_s)
        loop.wait_for_end()
        loop.bench.probe.destroy_publisher(rogue)
        loop.bench.until(
            lambda: not loop.nodes["safety_gate"]._gate.readiness.hindrances, 8.0, "all clear"
        )
        loop.judge()


def test_row_39_no_controller_listens():
    with FaultLoop({"safety_gate": {"robot": "ur5e"}}) as loop:  # the mock arm is another one
        gate = loop.nodes["safety_gate"]
        loop.bench.until(lambda: gate._gate.readiness.hindrances, 8.0, "a look around")
        ((code, message),) = gate._gate.readiness.hindrances.values()
        topic = f"{load_robot('ur5e').arm_controller}/joint_trajectory"
        assert code == "CONTROLLER_UNAVAILABLE" and topic in message
        assert loop.start().accepted
        loop.wait_for_end()
        assert loop.robot.accepted == []


def test_row_41_a_protective_stop_latches_until_it_is_over_and_reset(note_rest):
    with FaultLoop({"safety_gate": {"protective_stop_topic": "stopped"}}) as loop:
        signal = loop.bench.probe.create_publisher(Bool, "stopped", qos.LATCHED)
        assert loop.start().accepted
        assert "nothing heard on stopped" in loop.wait_for_cause("NOT_READY").cause.message
        loop.wait_for_end()
        signal.publish(Bool(data=False))
        gate = loop.nodes["safety_gate"]
        loop.bench.until(lambda: not gate._gate.readiness.hindrances, 8.0, "the signal is heard")
        loop.start_and_move()
        signal.publish(Bool(data=True))
        loop.wait_for_cause("PROTECTIVE_STOP")
        loop.wait_for_rest()
        note_rest(loop.rest_s)
        loop.wait_for_end()
        answer = loop.bench.call(Trigger, RESET, Trigger.Request())
        assert not answer.success and "stopped" in answer.message, "it is still signalled"
        signal.publish(Bool(data=False))
        commands = len(loop.robot.accepted)
        loop.bench.spin_for(0.5)
        assert len(loop.robot.accepted) == commands, "nothing starts by itself"
        assert loop.bench.call(Trigger, RESET, Trigger.Request()).success
        loop.judge()


def test_row_42_a_gripper_that_stalls_keeps_nobody_waiting():
    with FaultLoop() as loop:
        fingers = loop.robot._fingers
        fingers.accept = lambda *_: None  # it neither moves nor says so
        loop.start_and_move()
        loop.wait_for_round()
        assert loop.safety[-1].queue_duration < 10.0
        loop.judge()
