# SPDX-License-Identifier: Apache-2.0
"""Is anybody left who asked for a task by action? Every action client listens to its feedback.

A client that ends in good order is missed at once; one that was killed when discovery gives it up,
which takes the lease of its participant: 20 s unless its profile says otherwise.
"""

from __future__ import annotations

from rclpy.node import Node


class ClientWatch:
    """Counts listeners of an action's feedback while a goal runs.

    Args:
        node: the server.
        action: its name, as given to the server.
        watching: False = nobody is ever missed.
    """

    def __init__(self, node: Node, action: str, watching: bool = True) -> None:
        self._node, self._watching = node, watching
        self._topic = node.resolve_topic_name(f"{action}/_action/feedback")
        self._seen = False

    def is_gone(self) -> bool:
        """Say whether there was a listener and there is none any more."""
        here = self._node.count_subscribers(self._topic) > 0
        gone = self._watching and self._seen and not here
        self._seen = self._seen or here
        return gone
