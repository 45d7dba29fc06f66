# SPDX-License-Identifier: Apache-2.0
"""An arm without physics that goes where it is told, for tries of the stack without a robot.

It offers joint states and controllers with the rules of ros2_control's, on the node's own clock.
With ``camera`` it also shows a flat table, so that the whole stack runs; without, a real camera
can be tried with an arm that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rclpy.clock import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory

from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.robot.description import load_robot
from mu0_ros import qos
from mu0_ros.conversions.camera import info_from_intrinsics
from mu0_ros.conversions.image import image_from_depth_m, image_from_rgb
from mu0_ros.conversions.stamp import stamp_from_ns
from mu0_ros.conversions.trajectory import trajectory_from_msg
from mu0_ros.flat_table import CAMERA_FRAME, INTRINSICS, T_BASE_CAMERA, flat_table
from mu0_ros.lifecycle import Mu0LifecycleNode
from mu0_ros.node_process import run
from mu0_ros.params import parameter
from mu0_ros.tf import CameraPosePublisher


@dataclass(frozen=True)
class MockRobotParameters:
    """Parameters of the node."""

    robot: str = parameter("fr3", "name in config/robots or path of a robot description")
    state_rate_hz: float = parameter(50.0, "joint states", unit="Hz", low=5.0, high=500.0)
    camera: bool = parameter(True, "also publish images of a flat table, and the camera's pose")
    camera_rate_hz: float = parameter(
        10.0, "colour and depth images", unit="Hz", low=1.0, high=50.0
    )
    frame_prefix: str = parameter("", "of all frames, such as left/")


class MockRobotNode(Mu0LifecycleNode):
    """Tracks every trajectory exactly."""

    def __init__(self) -> None:
        super().__init__("mock_robot", MockRobotParameters)

    def setup(self) -> None:
        """Make controllers, publishers and timers; the arm is at home, the gripper open."""
        p = self.settings
        self._robot = robot = load_robot(p.robot)
        self._arm = JointTrajectoryController(robot.arm_joints)
        self._arm.set_initial(robot.home_rad)
        self._fingers = JointTrajectoryController((robot.gripper.joint,))
        opening = robot.gripper.open_m / robot.gripper.opening_per_joint_m
        self._fingers.set_initial(np.array([opening]))
        self._joints = self.create_lifecycle_publisher(
            JointState, "joint_states", qos.STATE_STREAM
        )
        for name, controller in (
            (robot.arm_controller, self._arm),
            (robot.gripper_controller, self._fingers),
        ):
            self.create_subscription(
                JointTrajectory,
                f"{name}/joint_trajectory",
                self.guard(name, lambda m, c=controller: self._on_trajectory(c, m)),
                qos.COMMAND,
            )
        clock: Clock = self.get_clock()
        self.create_timer(
            1.0 / p.state_rate_hz, self.guard("state", self._publish_state), clock=clock
        )
        if p.camera:
            self._make_camera(clock)

    def _make_camera(self, clock: Clock) -> None:
        self._colour = self.create_lifecycle_publisher(Image, "color/image_raw", qos.SENSOR)
        self._depth = self.create_lifecycle_publisher(Image, "depth/image_raw", qos.SENSOR)
        self._info = self.create_lifecycle_publisher(CameraInfo, "color/camera_info", qos.SENSOR)
        self._pose = CameraPosePublisher(self)
        period_s = 1.0 / self.settings.camera_rate_hz
        self.create_timer(period_s, self.guard("images", self._publish_images), clock=clock)

    def _on_trajectory(
        self, controller: JointTrajectoryController, message: JointTrajectory
    ) -> None:
        trajectory = trajectory_from_msg(message)
        start_s = trajectory.start_ns * 1e-9 if trajectory.start_ns else None
        controller.accept(trajectory, self.now_ns() * 1e-9, start_s)

    def _header(self, now_ns: int, frame_id: str) -> Header:
        return Header(stamp=stamp_from_ns(now_ns), frame_id=self.settings.frame_prefix + frame_id)

    def _publish_state(self) -> None:
        now_ns, robot = self.now_ns(), self._robot
        positions, velocities = self._arm.sample(now_ns * 1e-9)
        finger, finger_speed = self._fingers.sample(now_ns * 1e-9)
        message = JointState(header=self._header(now_ns, robot.base_frame))
        message.name = [*robot.arm_joints, robot.gripper.joint]
        message.position = [*positions.tolist(), float(finger[0])]
        message.velocity = [*velocities.tolist(), float(finger_speed[0])]
        self._joints.publish(message)

    def _publish_images(self) -> None:
        now_ns, prefix = self.now_ns(), self.settings.frame_prefix
        rgb, depth_m = flat_table()
        for publisher, message in (
            (self._info, info_from_intrinsics(INTRINSICS)),
            (self._colour, image_from_rgb(rgb)),
            (self._depth, image_from_depth_m(depth_m)),
        ):
            message.header = self._header(now_ns, CAMERA_FRAME)
            publisher.publish(message)
        base = prefix + self._robot.base_frame
        self._pose.publish(T_BASE_CAMERA, base, prefix + CAMERA_FRAME, now_ns)


def main() -> None:
    """Run the node."""
    raise SystemExit(run(MockRobotNode))


if __name__ == "__main__":
    main()
