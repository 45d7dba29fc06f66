# SPDX-License-Identifier: Apache-2.0
"""Where the camera's pose comes from, behind one Protocol.

A ROS 2 installation has tf2_ros; the wheels have neither it nor tf2_msgs, so there the pose comes on
the latched topic ``camera_pose`` (geometry_msgs/TransformStamped). A pose that is not known is an error;
identity is never assumed.
"""

from __future__ import annotations

import importlib.util
from typing import Protocol

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from mu0_core.errors import TransformError
from mu0_ros import qos
from mu0_ros.conversions.transform import matrix_from_transform

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
            raise TransformError(f"no transform from {camera!r} to {base!r}: {error}") from error
        return matrix_from_transform(message)


def make_transform_source(node: Node, kind: str = "auto") -> TransformSource:
    """Return the source of a kind: ``tf2``, ``topic``, or ``auto`` (tf2 where it is installed).

    Raises:
        TransformError: unknown kind, or tf2 was asked for and is not installed.
    """
    if kind not in ("auto", "tf2", "topic"):
        raise TransformError(f"transform source {kind!r}: allowed are auto, tf2, topic")
    if kind == "tf2" and not TF2_AVAILABLE:
        raise TransformError("transform source tf2 was asked for, but tf2_ros is not installed")
    if kind != "topic" and TF2_AVAILABLE:
        return Tf2Source(node)
    return CameraPoseTopic(node)
