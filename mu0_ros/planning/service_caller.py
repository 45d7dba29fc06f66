# SPDX-License-Identifier: Apache-2.0
"""Blocking service calls with a time-out, from any thread but an executor's."""

from __future__ import annotations

import threading
import time
from typing import Any

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from mu0_core.errors import PlannerUnavailableError

_DISCOVERY_S = 2.0


class ServiceCaller:
    """Calls services by name.

    Args:
        owner: node whose namespace and remappings apply.
        suffix: of the name of the node that calls.
    """

    def __init__(self, owner: Node, suffix: str = "planner") -> None:
        name = f"{owner.get_name()}_{suffix}"
        self._node = Node(
            name,
            namespace=owner.get_namespace(),
            # a launch file's __node:= is meant for the owner; remappings hold here too
            cli_args=["--ros-args", "-r", f"__node:={name}"],
        )
        self._clients: dict[str, Any] = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name=suffix, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def call(self, kind: type, service: str, request: Any, timeout_s: float) -> Any:
        """Return the answer of a service; not to be called from the executor's own thread.

        Raises:
            PlannerUnavailableError: nobody offers it, or no answer came in time.
        """
        if service not in self._clients:
            self._clients[service] = self._node.create_client(kind, service)
        client = self._clients[service]
        if not client.wait_for_service(timeout_sec=min(_DISCOVERY_S, timeout_s)):
            raise PlannerUnavailableError(f"nobody offers the service {client.srv_name}")
        answered, begun_s = threading.Event(), time.monotonic()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(timeout_s):
            client.remove_pending_request(future)
            raise PlannerUnavailableError(
                f"{client.srv_name} gave no answer within {time.monotonic() - begun_s:.1f} s"
            )
        return future.result()

    def close(self) -> None:
        """Stop the thread and the node."""
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(timeout=2.0)
        self._node.destroy_node()
