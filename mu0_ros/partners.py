# SPDX-License-Identifier: Apache-2.0
"""Says who is not heard, and why: partners with another quality of service, or none at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile

SILENT_S = 5.0  # discovery takes up to 3 s on a loaded machine


def _words(profile: QoSProfile) -> str:
    return f"{profile.reliability.name.lower()} {profile.durability.name.lower()}"


def watch_quality(
    node: Node, topic: str, own: QoSProfile, report: Callable[[str], None]
) -> SubscriptionEventCallbacks:
    """Return event callbacks of a subscription that tell both profiles when they do not fit.

    Args:
        node: who subscribes.
        topic: as given to the subscription.
        own: what it asks for.
        report: told a text.
    """

    def tell(info: QoSRequestedIncompatibleQoSInfo) -> None:
        name = node.resolve_topic_name(topic)
        offers = {
            f"{p.node_name} is {_words(p.qos_profile)}"
            for p in node.get_publishers_info_by_topic(name)
        }
        report(
            f"{name}: a publisher has an incompatible quality of service; asked for is "
            f"{_words(own)}, {', '.join(sorted(offers)) or 'the offer is not known yet'}"
        )

    return SubscriptionEventCallbacks(incompatible_qos=tell)


def missing(node: Node, topics: tuple[str, ...], waited_s: float) -> str:
    """Return in words which topics nobody publishes; "" when all are there or it is too early.

    Args:
        node: who needs them.
        topics: as given to its subscriptions.
        waited_s: how long it has been waiting.
    """
    if waited_s < SILENT_S:
        return ""
    nobody = [node.resolve_topic_name(t) for t in topics if node.count_publishers(t) == 0]
    if not nobody:
        return ""
    names = ", ".join(nobody)
    return f"no publisher on {names} after {waited_s:.0f} s; is ROS_DOMAIN_ID the same everywhere?"


class PartnerWatch:
    """Part of a node that reports whom it cannot hear.

    Attributes:
        needs: topics without which the node has nothing to do; `missing` names those of them that
            nobody publishes.
    """

    needs: tuple[str, ...] = ()
    counters: Counter[str]
    _waiting_since_s = float("inf")

    def create_subscription(
        self, kind: type, topic: str, callback: Any, profile: Any, **given: Any
    ) -> Any:
        """Subscribe; a publisher whose quality of service does not fit is reported."""
        if isinstance(profile, QoSProfile):
            watch = watch_quality(self, topic, profile, self._on_incompatible)
            given.setdefault("event_callbacks", watch)
        return super().create_subscription(kind, topic, callback, profile, **given)

    def _on_incompatible(self, text: str) -> None:
        self.counters["incompatible quality of service"] += 1
        self.report(text)

    def begin_to_wait(self) -> None:
        """Give partners time from now on to be found."""
        self._waiting_since_s = self.steady_s()

    def missing(self) -> str:
        """Return in words what nobody publishes; "" when all is there, or in the first 5 s."""
        return missing(self, self.needs, self.steady_s() - self._waiting_since_s)
