# SPDX-License-Identifier: Apache-2.0
"""What the safety gate sees of the world besides chunks and joint states.

Who else talks to the controllers, whether they are there, a protective stop, a depth camera's
points. It reports; what follows from it is the gate's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.qos import DurabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Bool

from mu0_core.control.scene_points import thinned
from mu0_core.errors import ObservationError
from mu0_core.robot.description import RobotDescription
from mu0_ros import qos
from mu0_ros.conversions.point_cloud import points_from_cloud
from mu0_ros.conversions.stamp import ns_from_stamp

if TYPE_CHECKING:
    from mu0_ros.lifecycle import Mu0LifecycleNode

_ACTION_STATUS = "follow_joint_trajectory/_action/status"
_FARTHEST_M = 2.0


def hindrances(node: Mu0LifecycleNode, robot: RobotDescription) -> dict[str, tuple[str, str]]:
    """Return what the graph says against motion: name -> (code, message).

    A controller that is not there would let commands vanish; somebody else who commands it, or a
    second controller of its name, would make them meaningless.
    """
    found = {}
    for controller in (robot.arm_controller, robot.gripper_controller):
        topic = f"{controller}/joint_trajectory"
        others = _other_publishers(node, topic)
        if others:
            found[f"{topic} shared"] = ("NOT_READY", f"{', '.join(others)} also command {topic}")
        servers = node.get_publishers_info_by_topic(
            node.resolve_topic_name(f"{controller}/{_ACTION_STATUS}")
        )
        if len(servers) > 1:
            names = ", ".join(_full_name(info) for info in servers)
            found[f"{topic} doubled"] = ("NOT_READY", f"{names} all serve {controller}")
    topic = f"{robot.arm_controller}/joint_trajectory"
    if node.count_subscribers(topic) == 0:
        found[f"{topic} absent"] = ("CONTROLLER_UNAVAILABLE", f"nobody listens on {topic}")
    return found


def _other_publishers(node: Mu0LifecycleNode, topic: str) -> list[str]:
    """Return the names of publishers on a topic besides one of our own."""
    names = [
        _full_name(info)
        for info in node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    ]
    own = node.get_fully_qualified_name()
    if own in names:
        names.remove(own)
    return sorted(set(names))


def _full_name(info: Any) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


class ProtectiveStop:
    """Listens to a topic that says whether the robot may not move.

    Attributes:
        heard: a message came; before that nobody knows.

    Args:
        node: gets the subscription, once somebody publishes, with the durability on offer.
        topic: of std_msgs/Bool.
        stop_value: the value that means stop.
        on_change: called with whether the stop is on, for every message.
    """

    def __init__(
        self,
        node: Mu0LifecycleNode,
        topic: str,
        stop_value: bool,
        on_change: Callable[[bool], None],
    ) -> None:
        self.heard = False
        self._node, self._topic, self._stop_value = node, topic, stop_value
        self._on_change, self._subscription = on_change, None

    def look(self) -> None:
        """Subscribe when there is somebody to listen to; a late listener gets a latched value."""
        if self._subscription is not None:
            return
        topic = self._node.resolve_topic_name(self._topic)
        offers = self._node.get_publishers_info_by_topic(topic)
        if offers:
            kept = DurabilityPolicy.TRANSIENT_LOCAL
            latched = all(info.qos_profile.durability == kept for info in offers)
            self._subscription = self._node.create_subscription(
                Bool,
                self._topic,
                self._node.guard("protective stop", self._on_message),
                qos.LATCHED if latched else qos.STATE_STREAM,
            )

    def _on_message(self, message: Bool) -> None:
        self.heard = True
        self._on_change(message.data == self._stop_value)


def scene_points(
    message: PointCloud2, robot: RobotDescription, radius_m: float
) -> tuple[Any, float, int]:
    """Return points (K, 3) in the base frame, their radius and their stamp in ns.

    Raises:
        ObservationError: the cloud is malformed or in another frame than the arm's base.
    """
    frame = message.header.frame_id
    if frame.rsplit("/", 1)[-1] != robot.base_frame:
        raise ObservationError(
            f"points are in frame {frame!r}, expected {robot.base_frame!r}: transform them first"
        )
    points, radius_m = thinned(points_from_cloud(message), radius_m, _FARTHEST_M)
    return points, radius_m, ns_from_stamp(message.header.stamp)
