# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of a recorder: made when a publisher appears, with the quality that it offers.

Messages are not decoded. A topic whose publishers change their offer is subscribed to anew.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from mu0_core.errors import ConfigError
from mu0_ros.recording.offers import adapted, offered_yaml

# topic, type, offered profiles, serialized message, time of publication (0 = not known)
OnMessage = Callable[[str, str, str, bytes, int], None]


def message_class(type_name: str) -> type:
    """Return the Python class of ``package/msg/Name``.

    Raises:
        ConfigError: its package is not installed here.
    """
    package, _, name = type_name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"type {type_name} is not installed here: {error}") from error


class Taps:
    """Keeps one subscription for each topic that somebody publishes.

    Args:
        node: whose subscriptions they are.
        topics: absolute names.
        on_message: called for each message.
    """

    def __init__(self, node: Node, topics: Sequence[str], on_message: OnMessage) -> None:
        self._node, self._topics, self._on_message = node, tuple(topics), on_message
        self._open: dict[str, tuple[Subscription, str, QoSProfile]] = {}
        self.unreadable: dict[str, str] = {}

    @property
    def waiting(self) -> list[str]:
        """Return the topics that nobody publishes yet."""
        return [t for t in self._topics if t not in self._open and t not in self.unreadable]

    def look(self) -> None:
        """Follow what is published now."""
        for topic in self._topics:
            offers = self._node.get_publishers_info_by_topic(topic)
            if offers:
                self._follow(topic, offers)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription, *_ in self._open.values():
            self._node.destroy_subscription(subscription)
        self._open.clear()

    def _follow(self, topic: str, offers: Sequence[Any]) -> None:
        kinds = sorted({offer.topic_type for offer in offers})
        if len(kinds) > 1:
            self.unreadable[topic] = f"published with different types: {', '.join(kinds)}"
        profile = adapted(offers)
        if topic in self._open:
            subscription, kind, current = self._open[topic]
            if (kind, current) == (kinds[0], profile):
                return
            self._node.destroy_subscription(subscription)
            del self._open[topic]
        try:
            message_type = message_class(kinds[0])
        except ConfigError as error:
            self.unreadable[topic] = str(error)
            return
        self.unreadable.pop(topic, None) if len(kinds) == 1 else None
        offered = offered_yaml(offers)

        def take(raw: bytes, info: dict[str, int]) -> None:
            self._on_message(topic, kinds[0], offered, raw, info.get("source_timestamp", 0))

        made = self._node.create_subscription(message_type, topic, take, profile, raw=True)
        self._open[topic] = (made, kinds[0], profile)
