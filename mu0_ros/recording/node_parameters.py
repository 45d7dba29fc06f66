# SPDX-License-Identifier: Apache-2.0
"""Asks the nodes of the stack for their parameters, again when one of them was started anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

_AGAIN_S = 2.0


class NodeParameters:
    """Finds nodes by their heartbeat and tells the parameters of each.

    Args:
        node: that asks; the others are looked for in its namespace.
        names: of the nodes.
        tell: called with the name of a node and its parameters.
    """

    def __init__(
        self, node: Node, names: Sequence[str], tell: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self._node, self._names, self._tell = node, tuple(names), tell
        self._asked_s: dict[tuple[str, tuple[int, ...]], float] = {}
        self._known: dict[str, tuple[int, ...]] = {}
        self._clients: dict[str, tuple[Client, Client]] = {}

    def look(self) -> None:
        """Ask every node that was not heard of yet."""
        for name in self._names:
            topic = self._node.resolve_topic_name(f"{name}/heartbeat")
            beats = self._node.get_publishers_info_by_topic(topic)
            if not beats:
                continue
            who = tuple(beats[-1].endpoint_gid)
            asked_s, now_s = self._asked_s.get((name, who), -_AGAIN_S), time.monotonic()
            if self._known.get(name) == who or now_s - asked_s < _AGAIN_S:
                continue
            self._asked_s[name, who] = now_s
            self._ask(name, who)

    def _ask(self, name: str, who: tuple[int, ...]) -> None:
        if name not in self._clients:
            make = self._node.create_client
            self._clients[name] = (
                make(ListParameters, f"{name}/list_parameters"),
                make(GetParameters, f"{name}/get_parameters"),
            )
        lister, getter = self._clients[name]

        def on_values(names: list[str], future: Any) -> None:
            answer = future.result()
            if len(answer.values) == len(names) and self._known.get(name) != who:
                values = map(parameter_value_to_python, answer.values)
                self._known[name] = who
                self._tell(name, dict(zip(names, values)))

        def on_names(future: Any) -> None:
            answer = future.result()
            if getter.service_is_ready():
                names = list(answer.result.names)
                asked = getter.call_async(GetParameters.Request(names=names))
                asked.add_done_callback(lambda done: on_values(names, done))

        if lister.service_is_ready():
            lister.call_async(ListParameters.Request()).add_done_callback(on_names)
