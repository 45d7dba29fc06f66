# SPDX-License-Identifier: Apache-2.0
"""A robot without physics: a camera that sees a flat table, and an arm that goes where it is told.

It offers what a real arm offers (images, joint states, camera pose, trajectory topics) and checks
trajectories with the rules of ros2_control's controller. Its attributes break it in one way each;
the tests of faults set them. What was commanded is recorded, so that limits can be judged
afterwards. All runs on the node's clock; when that is put back, the arm holds where it is, as in a
simulator that starts anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.errors import TrajectoryError
from mu0_core.robot.description import RobotDescription, load_robot
from mu0_ros import qos
from mu0_ros.conversions.camera import info_from_intrinsics
from mu0_ros.conversions.image import image_from_depth_m, image_from_rgb
from mu0_ros.conversions.stamp import stamp_from_ns
from mu0_ros.conversions.trajectory import trajectory_from_msg
from mu0_ros.conversions.transform import transform_from_matrix
from mu0_ros.flat_table import CAMERA_FRAME, INTRINSICS, T_BASE_CAMERA, flat_table

CAMERA_PERIOD_S, STATE_PERIOD_S = 0.1, 0.02


@dataclass
class MockFaults:
    """What is broken now.

    Attributes:
        colour, depth, info, joints: False = this stream stops.
        stamp_offset_s: added to the stamps of images.
        frozen: images repeat their last stamp.
        depth_frame: frame of the depth image.
        depth_scale: factor on depth (1000 = millimetres labelled metres).
        calibrated: False = camera_info is all zero.
        blocked: the arm does not follow its commands.
        lost: share of images that are dropped, colour and depth alike (seeded).
        joints_nan: True = joint states are not numbers.
        pose: False = nobody tells where the camera stands.
        frame: of colour and depth images; "" = the camera's own.
        bumped_m: how far the camera was pushed along the table; its pose is told anew.
    """

    colour: bool = True
    depth: bool = True
    info: bool = True
    joints: bool = True
    stamp_offset_s: float = 0.0
    frozen: bool = False
    depth_frame: str = CAMERA_FRAME
    depth_scale: float = 1.0
    calibrated: bool = True
    blocked: bool = False
    lost: float = 0.0
    joints_nan: bool = False
    pose: bool = True
    frame: str = ""
    bumped_m: float = 0.0


@dataclass
class Motion:
    """The commanded arm, sampled at `STATE_PERIOD_S`: seconds, positions and velocities (A,)."""

    times_s: list[float] = field(default_factory=list)
    positions: list[np.ndarray] = field(default_factory=list)
    velocities: list[np.ndarray] = field(default_factory=list)


class MockRobot(Node):
    """Camera and arm in one node, on the clock of the node."""

    def __init__(self, robot: str = "fr3", **arguments: object) -> None:
        super().__init__("mock_robot", **arguments)
        self.robot: RobotDescription = load_robot(robot)
        self.faults, self.motion = MockFaults(), Motion()
        self.accepted: list[JointTrajectory] = []
        self.refused: list[str] = []
        self._arm = JointTrajectoryController(self.robot.arm_joints)
        self._arm.set_initial(self.robot.home_rad)
        self._fingers = JointTrajectoryController((self.robot.gripper.joint,))
        opening = self.robot.gripper.open_m / self.robot.gripper.opening_per_joint_m
        self._fingers.set_initial(np.array([opening]))
        self._measured = self.robot.home_rad.copy()
        self._image_ns, self._random = 0, np.random.default_rng(0)
        self._colour = self.create_publisher(Image, "color/image_raw", qos.SENSOR)
        self._depth = self.create_publisher(Image, "depth/image_raw", qos.SENSOR)
        self._info = self.create_publisher(CameraInfo, "color/camera_info", qos.SENSOR)
        self._joints = self.create_publisher(JointState, "joint_states", qos.STATE_STREAM)
        self._pose = self.create_publisher(TransformStamped, "camera_pose", qos.LATCHED)
        for name, controller in (
            (self.robot.arm_controller, self._arm),
            (self.robot.gripper_controller, self._fingers),
        ):
            self.create_subscription(
                JointTrajectory,
                f"{name}/joint_trajectory",
                lambda m, c=controller: self._on_trajectory(c, m),
                qos.COMMAND,
            )
        self._pose_told_m: float | None = None
        self.create_timer(CAMERA_PERIOD_S, self._publish_images)
        self.create_timer(STATE_PERIOD_S, self._publish_state)
        self.create_timer(STATE_PERIOD_S, self._sample)

    @property
    def at_rest(self) -> bool:
        """Say whether no trajectory is under way."""
        return self._arm.remaining_s(self._now_s()) == 0.0

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _on_trajectory(
        self, controller: JointTrajectoryController, message: JointTrajectory
    ) -> None:
        try:
            trajectory = trajectory_from_msg(message)
            start_s = trajectory.start_ns * 1e-9 if trajectory.start_ns else None
            self._mind_the_clock()
            controller.accept(trajectory, self._now_s(), start_s)
        except TrajectoryError as error:
            self.refused.append(str(error))
            return
        self.accepted.append(message)

    def _mind_the_clock(self) -> None:
        """Hold where the arm was last seen if time was put back, before anyone reads its state."""
        motion = self.motion
        if motion.times_s and self._now_s() < motion.times_s[-1]:
            self._arm.set_initial(motion.positions[-1])

    def _sample(self) -> None:
        self._mind_the_clock()
        now_s = self._now_s()
        positions, velocities = self._arm.sample(now_s)
        self.motion.times_s.append(now_s)
        self.motion.positions.append(positions)
        self.motion.velocities.append(velocities)

    def _publish_state(self) -> None:
        self._mind_the_clock()
        now_s = self._now_s()
        positions, velocities = self._arm.sample(now_s)
        if self.faults.blocked:
            velocities = np.zeros_like(velocities)
        else:
            self._measured = positions
        if not self.faults.joints:
            return
        message = JointState(name=[*self.robot.arm_joints, self.robot.gripper.joint])
        message.header.stamp = self.get_clock().now().to_msg()
        message.position = [*self._measured.tolist(), float(self._fingers.sample(now_s)[0][0])]
        message.velocity = [*velocities.tolist(), 0.0]
        if self.faults.joints_nan:
            message.position = [float("nan")] * len(message.name)
        self._joints.publish(message)

    def _tell_pose(self) -> None:
        """Tell the camera's pose once, and again when it was bumped."""
        if not self.faults.pose or self._pose_told_m == self.faults.bumped_m:
            return
        self._pose_told_m = self.faults.bumped_m
        T = T_BASE_CAMERA.copy()
        T[0, 3] += self.faults.bumped_m
        now_ns = self.get_clock().now().nanoseconds
        self._pose.publish(transform_from_matrix(T, self.robot.base_frame, CAMERA_FRAME, now_ns))

    def _publish_images(self) -> None:
        faults = self.faults
        self._tell_pose()
        if not (faults.frozen and self._image_ns):
            self._image_ns = self.get_clock().now().nanoseconds
        (rgb, depth), info = flat_table(), info_from_intrinsics(INTRINSICS)
        if not faults.calibrated:
            info.k = [0.0] * 9
        stamp = stamp_from_ns(max(0, self._image_ns + round(faults.stamp_offset_s * 1e9)))
        own = faults.frame or CAMERA_FRAME
        for on, publisher, message, frame in (
            (faults.info, self._info, info, own),
            (faults.colour, self._colour, image_from_rgb(rgb), own),
            (
                faults.depth,
                self._depth,
                image_from_depth_m(depth * np.float32(faults.depth_scale)),
                faults.frame or faults.depth_frame,
            ),
        ):
            if on and self._random.random() >= faults.lost:
                message.header.stamp, message.header.frame_id = stamp, frame
                publisher.publish(message)
