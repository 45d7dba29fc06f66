# SPDX-License-Identifier: Apache-2.0
"""What the publishers of a topic offer, and the quality of service that hears all of them."""

from __future__ import annotations

from collections.abc import Sequence

import yaml
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

_DEPTH = 50  # of small messages between two turns of the recorder
_IMAGE_DEPTH = 10
_IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


def adapted(offers: Sequence[TopicEndpointInfo]) -> QoSProfile:
    """Return what matches every publisher: the weakest of what they offer.

    Latched values reach a late joiner only if all publishers latch.
    """
    profiles = [offer.qos_profile for offer in offers]
    is_reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles)
    is_latched = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles)
    is_image = any(offer.topic_type in _IMAGES for offer in offers)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_IMAGE_DEPTH if is_image else _DEPTH,
        reliability=(ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT),
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE),
    )


def offered_yaml(offers: Sequence[TopicEndpointInfo]) -> str:
    """Return the publishers' profiles as rosbag2 keeps them beside a topic, for playing it."""
    endless = {"sec": 9223372036, "nsec": 854775807}
    profiles = [offer.qos_profile for offer in offers]
    entries = [
        {
            "history": "keep_last",  # what was offered is not on the wire
            "depth": 1 if p.durability == DurabilityPolicy.TRANSIENT_LOCAL else 10,
            "reliability": p.reliability.name.lower(),
            "durability": p.durability.name.lower(),
            "deadline": dict(endless),
            "lifespan": dict(endless),
            "liveliness": p.liveliness.name.lower(),
            "liveliness_lease_duration": dict(endless),
            "avoid_ros_namespace_conventions": False,
        }
        for p in profiles
    ]
    return yaml.safe_dump(entries, sort_keys=False)
