# SPDX-License-Identifier: Apache-2.0
"""Where the camera's pose comes from and goes to, behind one Protocol.

A ROS 2 installation has tf2_ros; the wheels have neither it nor tf2_msgs, so there the pose comes
on the latched topic ``camera_pose`` (geometry_msgs/TransformStamped), or from parameters. A pose
that is not known is an error; identity is never assumed.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Protocol

import numpy as np
import yaml
from geometry_msgs.msg import TransformStamped
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time

from mu0_core.errors import ShapeError, TransformError
from mu0_core.geometry import se3
from mu0_core.observation.frame_tree import check_connected
from mu0_ros import qos
from mu0_ros.conversions.transform import matrix_from_transform, transform_from_matrix

KINDS = ("auto", "tf2", "topic", "static")
TF2_AVAILABLE = importlib.util.find_spec("tf2_ros") is not None


class TransformSource(Protocol):
    """Answers ``T_base_camera``."""

    def lookup(self, base: str, camera: str, stamp_ns: int) -> np.ndarray:
        """Return T_base_camera (4, 4) at a time; raises `TransformError` when it is not known."""
        ...


class CameraPoseTopic:
    """Substitute for tf: static camera poses on topic ``camera_pose``."""

    def __init__(self, node: Node) -> None:
        self._poses: dict[tuple[str, str], np.ndarray] = {}
        node.create_subscription(TransformStamped, "camera_pose", self._on_pose, qos.LATCHED)

    def _on_pose(self, message: TransformStamped) -> None:
        key = (message.header.frame_id, message.child_frame_id)
        self._poses[key] = matrix_from_transform(message)

    def lookup(self, base: str, camera: str, stamp_ns: int) -> np.ndarray:
        """Return the pose last published for these frames."""
        if (base, camera) not in self._poses:
            raise TransformError(
                f"no pose of {camera!r} in {base!r} on topic camera_pose; known: "
                f"{sorted(self._poses) or 'none'}"
            )
        return self._poses[base, camera]


class Tf2Source:
    """tf2_ros at the stamp of the image."""

    def __init__(self, node: Node, timeout_s: float = 0.2) -> None:
        import tf2_ros

        self._errors = tf2_ros.TransformException
        self._timeout = Duration(nanoseconds=round(timeout_s * 1e9))
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(self, base: str, camera: str, stamp_ns: int) -> np.ndarray:
        """Look the transform up; never the latest one for an older image."""
        try:
            message = self._buffer.lookup_transform(
                base, camera, Time(nanoseconds=stamp_ns), self._timeout
            )
        except self._errors as error:
            check_connected(parents_from_yaml(self._buffer.all_frames_as_yaml()), base, camera)
            raise TransformError(f"no transform from {camera!r} to {base!r}: {error}") from error
        return matrix_from_transform(message)


def parents_from_yaml(text: str) -> dict[str, str]:
    """Return child frame -> parent of tf2's ``all_frames_as_yaml``; {} without frames."""
    frames = yaml.safe_load(text)
    if not isinstance(frames, dict):
        return {}
    return {str(child): str(facts["parent"]) for child, facts in frames.items()}


class StaticPose:
    """One camera that never moves, from the parameters ``camera_frame`` and ``camera_pose``."""

    def __init__(self, node: Node) -> None:
        self._camera = _given(
            node,
            "camera_frame",
            Parameter.Type.STRING,
            "optical frame of the images; for transform_source static",
        )
        pose = _given(
            node,
            "camera_pose",
            Parameter.Type.DOUBLE_ARRAY,
            "pose of camera_frame in the arm's base frame: x y z [m], qx qy qz qw",
        )
        if len(pose) != 7:
            raise TransformError(
                f"camera_pose has {len(pose)} numbers, expected x y z qx qy qz qw"
            )
        try:
            self._T_base_camera = se3.from_quat_xyzw(np.array(pose[:3]), np.array(pose[3:]))
        except ShapeError as error:
            raise TransformError(f"camera_pose {list(pose)}: {error}") from error

    def lookup(self, base: str, camera: str, stamp_ns: int) -> np.ndarray:
        """Return the pose; the images must be in the frame that it was given for."""
        if camera != self._camera:
            raise TransformError(f"images are in {camera!r}, camera_pose is of {self._camera!r}")
        return self._T_base_camera


def _given(node: Node, name: str, kind: Parameter.Type, doc: str) -> Any:
    """Return a parameter without a default; a pose is never guessed."""
    if not node.has_parameter(name):
        node.declare_parameter(name, kind, ParameterDescriptor(description=doc, read_only=True))
    value = node.get_parameter_or(name).value
    if not value:
        raise TransformError(f"transform source static needs the parameter {name} ({doc})")
    return value


def make_transform_source(node: Node, kind: str = "auto") -> TransformSource:
    """Return the source of a kind: tf2, topic, static, or auto (tf2 where installed, else topic).

    Raises:
        TransformError: unknown kind; tf2 was asked for and is missing; static without a pose.
    """
    if kind not in KINDS:
        raise TransformError(f"transform source {kind!r}: allowed are {', '.join(KINDS)}")
    if kind == "static":
        return StaticPose(node)
    if kind == "tf2" and not TF2_AVAILABLE:
        raise TransformError("transform source tf2 was asked for, but tf2_ros is not installed")
    if kind != "topic" and TF2_AVAILABLE:
        return Tf2Source(node)
    return CameraPoseTopic(node)


class CameraPosePublisher:
    """Tells where a camera stands: on ``camera_pose``, and on ``/tf_static`` where tf2_ros is."""

    def __init__(self, node: LifecycleNode) -> None:
        self._topic = node.create_lifecycle_publisher(TransformStamped, "camera_pose", qos.LATCHED)
        self._broadcaster = None
        if TF2_AVAILABLE:
            import tf2_ros

            self._broadcaster = tf2_ros.StaticTransformBroadcaster(node)
        self._told: np.ndarray | None = None

    def publish(self, T_base_camera: np.ndarray, base: str, camera: str, stamp_ns: int) -> None:
        """Tell a pose (4, 4) if it is another one than last time; both channels are latched.

        Before the node is active nothing is told, so that the first pose is not lost.
        """
        if not self._topic.is_activated:
            return
        if self._told is not None and np.array_equal(self._told, T_base_camera):
            return
        message = transform_from_matrix(T_base_camera, base, camera, stamp_ns)
        self._topic.publish(message)
        if self._broadcaster is not None:
            self._broadcaster.sendTransform(message)
        self._told = T_base_camera.copy()
