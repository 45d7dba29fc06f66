# SPDX-License-Identifier: Apache-2.0
"""Nodes under test in one process: one executor, turned by the test until a condition holds.

Nothing sleeps and nothing runs behind the test's back but the nodes' own worker threads.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rclpy
import yaml
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

from mu0_ros import qos
from mu0_ros.lifecycle import Mu0LifecycleNode

NAMESPACE = "/mu0"


def unique_domain_id() -> int:
    """Return a ``ROS_DOMAIN_ID`` that differs between processes of one machine (1 to 100)."""
    return 1 + os.getpid() % 100


class Bench:
    """Starts nodes with parameters, turns the executor, collects what was published.

    Use as a context manager: it owns ``rclpy.init`` and the shutdown.

    Args:
        parameters: node name -> parameter name -> value, for every node made here.
        domain_id: by default one of this process; tests that kill nodes take one each.
        arguments: further ROS arguments of the process, such as remappings.
    """

    def __init__(
        self,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        domain_id: int | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.domain_id = unique_domain_id() if domain_id is None else domain_id
        tree = {
            f"{NAMESPACE}/{node}": {"ros__parameters": dict(values)}
            for node, values in (parameters or {}).items()
        }
        given = ["--ros-args", "-r", f"__ns:={NAMESPACE}", *arguments]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            if tree:
                yaml.safe_dump(tree, file)
                file.flush()
                given += ["--params-file", file.name]
            rclpy.init(args=given, domain_id=self.domain_id)
        self.executor = SingleThreadedExecutor()
        self._nodes: list[Node] = []
        self.probe = self.add(Node("probe"))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for node in reversed(self._nodes):
                if isinstance(node, Mu0LifecycleNode):
                    self.turning(node.halt_if_active)
            for node in reversed(self._nodes):
                if isinstance(node, Mu0LifecycleNode):
                    node.stop()
                self.executor.remove_node(node)
                node.destroy_node()
            self.executor.shutdown()
        finally:
            rclpy.try_shutdown()

    def add(self, node: Node, *, start: bool = True) -> Any:
        """Put a node on the executor; a lifecycle node becomes active if ``start``."""
        self.executor.add_node(node)
        self._nodes.append(node)
        if start and isinstance(node, Mu0LifecycleNode) and not node.autostart():
            raise AssertionError(f"{node.get_name()} did not start")
        return node

    def collect(self, kind: type, topic: str, profile: QoSProfile = qos.LATCHED) -> list[Any]:
        """Subscribe the probe and return the list that messages are appended to."""
        messages: list[Any] = []
        self.probe.create_subscription(kind, topic, messages.append, profile)
        return messages

    def until(self, condition: Callable[[], Any], timeout_s: float = 8.0, what: str = "") -> Any:
        """Turn the executor until the condition is true; return its value.

        Raises:
            AssertionError: it did not become true within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            self.executor.spin_once(timeout_sec=0.02)
        raise AssertionError(f"not within {timeout_s} s: {what or condition}")

    def turning(self, work: Callable[[], Any], timeout_s: float = 8.0) -> None:
        """Do blocking work in a thread while the executor turns, as if in another process."""
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.until(lambda: not thread.is_alive(), timeout_s, "end of blocking work")

    def spin_for(self, duration_s: float) -> None:
        """Turn the executor for a while: to show that something does NOT happen."""
        deadline = time.monotonic() + duration_s
        while time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.01)

    def call(self, kind: type, service: str, request: Any, timeout_s: float = 8.0) -> Any:
        """Call a service of a node on this bench and return the response."""
        client = self.probe.create_client(kind, service)
        self.until(client.service_is_ready, timeout_s, f"service {service}")
        future = client.call_async(request)
        self.until(future.done, timeout_s, f"answer of {service}")
        self.probe.destroy_client(client)
        return future.result()
