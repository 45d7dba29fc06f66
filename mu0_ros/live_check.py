# SPDX-License-Identifier: Apache-2.0
"""Looks at the stack that runs now, for ``mu0 doctor --live``; it changes nothing.

Prints one JSON object per line: level, name, found, cure. Run as a program with ROS arguments:
``python -m mu0_ros.live_check SECONDS ROBOT --ros-args -r __ns:=/mu0``.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import GetState
from mu0.msg import SafetyStatus, TaskStatus
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header

from mu0_core.errors import Mu0Error, TransformError
from mu0_core.operation.findings import examine
from mu0_core.operation.snapshot import NODES, Endpoint, NodeSeen, Snapshot, TopicSeen
from mu0_core.recording.reader import Recorded
from mu0_core.robot.description import RobotDescription, load_robot
from mu0_ros.conversions.error_code import code_name
from mu0_ros.conversions.stamp import ns_from_stamp
from mu0_ros.recording.contract import CONTRACT, command_topics
from mu0_ros.recording.node_parameters import NodeParameters
from mu0_ros.recording.taps import Taps
from mu0_ros.tf import make_transform_source

_NAME = "mu0_doctor"
_STAMPED = ("color/image_raw", "depth/image_raw", "joint_states")
_LOOK_S = 0.25


class Watcher:
    """Collects what a `Snapshot` holds.

    Args:
        node: whose namespace and remappings apply.
        robot: whose controllers are looked at.
    """

    def __init__(self, node: Node, robot: RobotDescription) -> None:
        self._node, self._robot = node, robot
        self.commands = command_topics(robot)
        names = {t: node.resolve_topic_name(t) for t in (*CONTRACT, *self.commands)}
        self.topics = {name: TopicSeen(wire) for name, wire in names.items()}
        self._by_wire = {seen.name: (name, seen) for name, seen in self.topics.items()}
        self.nodes = {name: NodeSeen() for name in NODES}
        self.gate: tuple[str, str, str] | None = None
        self.task: tuple[str, str, str, bool] | None = None
        self.complaints: dict[str, str] = {}
        self._sim_ns: int | None = None
        self._stamps: dict[str, int] = {}
        self._frame_id = ""
        self._taps = Taps(node, tuple(names.values()), self._on_message)
        self._parameters = NodeParameters(node, NODES, self._on_parameters)
        self._transforms = make_transform_source(node)
        self._states = {n: node.create_client(GetState, f"{n}/get_state") for n in NODES}
        for name in NODES:
            node.create_subscription(
                Header, f"{name}/heartbeat", lambda _, seen=self.nodes[name]: _beat(seen), 10
            )

    def watch(self, seconds: float) -> Snapshot:
        """Watch for so long and return what was seen."""
        end_s, look_s = time.monotonic() + seconds, 0.0
        asked: set[str] = set()
        while time.monotonic() < end_s:
            rclpy.spin_once(self._node, timeout_sec=0.05)
            if time.monotonic() < look_s:
                continue
            look_s = time.monotonic() + _LOOK_S
            self._taps.look()
            self._parameters.look()
            for name, client in self._states.items():
                if name not in asked and client.service_is_ready():
                    asked.add(name)
                    self._ask_state(name, client)
        self._look_at_graph()
        pose, problem = self._place()
        return Snapshot(
            self._node.get_namespace(),
            seconds,
            self.topics,
            self.nodes,
            self.commands,
            self.topics["/clock"],
            end_s,
            pose,
            problem,
            self.gate,
            self.task,
            self.complaints,
        )

    def _ask_state(self, name: str, client: Any) -> None:
        def answered(future: Any) -> None:
            self.nodes[name].state = future.result().current_state.label

        client.call_async(GetState.Request()).add_done_callback(answered)

    def _on_parameters(self, name: str, values: dict[str, Any]) -> None:
        self.nodes[name].parameters = values

    def _on_message(self, wire: str, kind: str, offered: str, raw: bytes, sent_ns: int) -> None:
        name, seen = self._by_wire[wire]
        seen.arrivals_s.append(time.monotonic())
        if name == "/clock":
            self._sim_ns = ns_from_stamp(deserialize_message(raw, Clock).clock)
        elif name == "safety_status":
            status = deserialize_message(raw, SafetyStatus)
            cause = status.cause
            self.gate = (_label(SafetyStatus, status.state), code_name(cause), cause.message)
        elif name == "task_status":
            status = deserialize_message(raw, TaskStatus)
            label = _label(TaskStatus, status.state)
            self.task = (label, code_name(status.error), status.error.message, status.dry_run)
        elif name == "/diagnostics":
            self._on_diagnostics(deserialize_message(raw, DiagnosticArray))
        elif name in _STAMPED:
            self._on_stamp(name, seen, Recorded(wire, kind, raw, 0, 0))

    def _on_stamp(self, name: str, seen: TopicSeen, message: Recorded) -> None:
        stamp_ns = message.header_ns()
        seen.repeated += self._stamps.get(name) == stamp_ns
        self._stamps[name] = stamp_ns
        seen.wall_ages_s.append((time.time_ns() - stamp_ns) * 1e-9)
        if self._sim_ns is not None:
            seen.sim_ages_s.append((self._sim_ns - stamp_ns) * 1e-9)
        if name == "color/image_raw" and not self._frame_id:
            size = int.from_bytes(message.raw[12:16], "little")
            self._frame_id = message.raw[16 : 16 + size].rstrip(b"\0").decode(errors="replace")

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        ours = self._node.get_namespace().rstrip("/") + "/"
        for status in message.status:
            if status.level != DiagnosticStatus.OK and status.name.startswith(ours):
                self.complaints[status.name] = status.message

    def _look_at_graph(self) -> None:
        for seen in self.topics.values():
            node = self._node
            seen.publishers = _endpoints(node.get_publishers_info_by_topic(seen.name))
            seen.subscribers = _endpoints(node.get_subscriptions_info_by_topic(seen.name))
        names = self._node.get_node_names_and_namespaces()
        for name, seen in self.nodes.items():
            seen.count = names.count((name, self._node.get_namespace()))

    def _place(self) -> tuple[str, str]:
        """Return where the camera stands, or why that is not known."""
        parameters = self.nodes["action_expert"].parameters
        if parameters.get("transform_source") == "static":
            return f"from parameters: {parameters.get('camera_pose')}", ""
        if not self._frame_id:
            return "", ""  # without images there is no frame to ask for
        base = parameters.get("frame_prefix", "") + self._robot.base_frame
        stamp_ns = self._stamps["color/image_raw"]
        try:
            T = self._transforms.lookup(base, self._frame_id, stamp_ns)
        except TransformError as error:
            return "", str(error)
        x, y, z = T[:3, 3]
        return f"{self._frame_id} at ({x:.3f}, {y:.3f}, {z:.3f}) m in {base}", ""


def _beat(seen: NodeSeen) -> None:
    seen.beats_s.append(time.monotonic())


def _label(kind: type, value: int) -> str:
    names = [n for n in dir(kind) if n.startswith("STATE_") and getattr(kind, n) == value]
    return names[0].removeprefix("STATE_") if names else f"state {value}"


def _endpoints(offers: list[Any]) -> tuple[Endpoint, ...]:
    """Return endpoints of others; the recorder and this program listen without meaning it."""
    found = []
    for offer in offers:
        node = f"{offer.node_namespace.rstrip('/')}/{offer.node_name}"
        if offer.node_name not in (_NAME, "recorder", "mu0_camera_check"):
            q = offer.qos_profile
            found.append(Endpoint(node, q.reliability.name.lower(), q.durability.name.lower()))
    return tuple(found)


def main() -> int:
    """Print what is found."""
    seconds, robot = remove_ros_args(sys.argv)[1:]
    rclpy.init(args=sys.argv)
    node = Node(_NAME)
    try:
        seen = Watcher(node, load_robot(robot)).watch(float(seconds))
        for finding in examine(seen):
            sys.stdout.write(json.dumps(asdict(finding)) + "\n")
    except Mu0Error as error:
        sys.stderr.write(f"{error}\n")
        return 2
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
