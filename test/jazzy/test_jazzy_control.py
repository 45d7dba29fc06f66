# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue with the real controllers of ros2_control on mock hardware."""

import time
from xml.etree import ElementTree

import numpy as np
import pytest
from mu0.msg import TaskStatus
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from mu0_core.robot.description import load_robot
from mu0_ros import qos
from mu0_ros.conversions.error_code import code_name
from mu0_ros.task_states import RUNNING
from mu0_ros.testing.bench import NAMESPACE
from mu0_ros.testing.fault_loop import FaultLoop
from mu0_ros.testing.mock_control import MockControl, controllers, description

S = TaskStatus
PATIENCE = {"task_server": {"inference_timeout_s": 3.0}}
STILL_RAD_S = 1e-3


class RealArm:
    """The loop with the joint states of real controllers; the mock robot is only the camera."""

    def __init__(self, tmp_path, *, follows=True, processes=()):
        self.loop = FaultLoop(PATIENCE, processes=processes)
        self.loop.robot.faults.joints = False
        self.states: list[JointState] = self.loop.bench.collect(
            JointState, "joint_states", qos.STATE_STREAM
        )
        robot, domain = self.loop.robot.robot, self.loop.bench.domain_id
        self.control = MockControl(robot, NAMESPACE, domain, tmp_path, follows=follows)

    def __enter__(self):
        self.control.__enter__()
        self.loop.bench.until(lambda: self.states, 20.0, "joint states of the controllers")
        return self

    def __exit__(self, *_):
        self.control.__exit__()
        self.loop.__exit__()

    def speed(self):
        return float(np.max(np.abs(self.states[-1].velocity))) if self.states else 0.0

    def start_and_move(self):
        answer = self.loop.start()
        assert answer.accepted, answer.error.message
        self.loop.bench.until(lambda: self.speed() > 0.1, 10.0, "motion of the real controllers")

    def wait_for_rest(self, within_s):
        began_s = time.monotonic()
        self.loop.bench.until(lambda: self.speed() < STILL_RAD_S, within_s + 2.0, "rest")
        rest_s = time.monotonic() - began_s
        assert rest_s <= within_s
        return rest_s

    def stays(self, seconds=1.0):
        before = np.array(self.states[-1].position)
        self.loop.bench.spin_for(seconds)
        np.testing.assert_allclose(self.states[-1].position, before, atol=1e-4)

    def serves_again(self):
        self.loop.cancel()
        self.loop.wait_for_end()
        self.start_and_move()


@pytest.mark.parametrize("name", ["fr3", "ur5e", "so101"])
def test_the_mock_hardware_has_every_joint_that_is_commanded(name):
    """Needs no Jazzy: a wrong file would only be found there."""
    robot = load_robot(name)
    part = ElementTree.fromstring(description(robot, follows=False)).find("ros2_control")
    joints = {j.get("name") for j in part.findall("joint")}
    known = {j.get("name") for j in ElementTree.parse(robot.urdf_path).getroot().iter("joint")}
    parameters = {
        node.removeprefix(f"{NAMESPACE}/"): values["ros__parameters"]
        for node, values in controllers(name, NAMESPACE).items()
    }
    commanded = {j for values in parameters.values() for j in values.get("joints", ())}
    assert joints == commanded == {*robot.arm_joints, robot.gripper.joint} <= known
    assert part.find("hardware/param[@name='disable_commands']").text == "true"
    assert not any(values["use_sim_time"] for values in parameters.values())
    assert set(parameters["controller_manager"]) - {"update_rate", "use_sim_time"} == {
        "joint_state_broadcaster",
        robot.arm_controller,
        robot.gripper_controller,
    }


@pytest.mark.jazzy
def test_row_37_the_gate_is_killed_and_the_real_controller_comes_to_rest(tmp_path, note_rest):
    with RealArm(tmp_path, processes=("safety_gate",)) as arm:
        arm.start_and_move()
        arm.loop.kill("safety_gate")
        note_rest(arm.wait_for_rest(1.2))
        arm.stays()
        assert arm.loop.wait_for_end().state == S.STATE_ABORTED
        arm.loop.spawn("safety_gate")
        arm.serves_again()


@pytest.mark.jazzy
def test_row_39_the_controller_is_deactivated_in_motion(tmp_path, note_rest):
    with RealArm(tmp_path) as arm:
        arm.start_and_move()
        arm.control.set_controller(arm.loop.robot.robot.arm_controller, "inactive")
        note_rest(arm.wait_for_rest(1.0))
        arm.stays()
        end = arm.loop.wait_for_end(12.0)
        assert end.state == S.STATE_ABORTED
        assert code_name(end.error) in (
            "CONTROLLER_UNAVAILABLE",
            "TRACKING_ERROR",
            "CONTROLLER_REJECTED",
        )
        arm.control.set_controller(arm.loop.robot.robot.arm_controller, "active")
        arm.loop.bench.call(Trigger, "safety_gate/reset", Trigger.Request())
        arm.serves_again()


@pytest.mark.jazzy
def test_row_39_the_controller_is_not_there(tmp_path):
    with RealArm(tmp_path) as arm:
        arm.control.set_controller(arm.loop.robot.robot.arm_controller, "inactive")
        arm.loop.start()
        end = arm.loop.wait_for_end(15.0)
        assert end.state == S.STATE_ABORTED
        arm.stays(0.5)


@pytest.mark.jazzy
def test_row_40_joints_that_do_not_follow_latch(tmp_path):
    with RealArm(tmp_path, follows=False) as arm:
        arm.loop.start()
        arm.loop.wait_for_cause("TRACKING_ERROR", 8.0)
        assert arm.loop.wait_for_end().state == S.STATE_ABORTED
        arm.stays(0.5)
        assert arm.loop.safety[-1].state == arm.loop.safety[-1].STATE_LATCHED


@pytest.mark.jazzy
def test_row_41_the_hardware_is_taken_away_and_nothing_starts_by_itself(tmp_path, note_rest):
    with RealArm(tmp_path) as arm:
        arm.start_and_move()
        arm.control.set_hardware("inactive")
        note_rest(arm.wait_for_rest(1.0))
        assert arm.loop.wait_for_end(12.0).state == S.STATE_ABORTED
        arm.control.set_hardware("active")
        arm.stays()
        assert arm.loop.status[-1].state not in RUNNING
