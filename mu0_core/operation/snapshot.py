# SPDX-License-Identifier: Apache-2.0
"""What was seen of a running stack over some seconds: topics, nodes, clocks, states. No ROS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

GATE = "safety_gate"
NODES = ("trace_forecaster", "action_expert", GATE, "task_server")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A publisher or a subscription: whose, and with which quality of service."""

    node: str
    reliability: str = "reliable"
    durability: str = "volatile"

    def describe(self) -> str:
        """Return both words for people."""
        latched = {"transient_local": "latched", "volatile": "not latched"}
        reliable = self.reliability.replace("_", " ")
        return f"{self.node} ({reliable}, {latched.get(self.durability, self.durability)})"


@dataclass(slots=True)
class TopicSeen:
    """A topic over the time of watching.

    Attributes:
        name: on the wire.
        publishers, subscribers: without the watcher itself.
        arrivals_s: steady times of messages.
        wall_ages_s, sim_ages_s: of header stamps at arrival, on the two clocks; the second is
            empty without a clock topic.
        repeated: messages whose stamp was that of the one before.
    """

    name: str
    publishers: tuple[Endpoint, ...] = ()
    subscribers: tuple[Endpoint, ...] = ()
    arrivals_s: list[float] = field(default_factory=list)
    wall_ages_s: list[float] = field(default_factory=list)
    sim_ages_s: list[float] = field(default_factory=list)
    repeated: int = 0

    def rate_hz(self) -> float:
        """Return the mean rate between the first and the last message; 0 with fewer than two."""
        return rate_hz(self.arrivals_s)


@dataclass(slots=True)
class NodeSeen:
    """A node of the stack: how many have its name, steady times of heartbeats, state.

    ``state`` of its life cycle is "" when it did not answer.
    """

    count: int = 0
    beats_s: list[float] = field(default_factory=list)
    state: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


def rate_hz(times_s: list[float]) -> float:
    """Return the mean rate between the first and the last time; 0 with fewer than two."""
    if len(times_s) < 2 or times_s[-1] <= times_s[0]:
        return 0.0
    return (len(times_s) - 1) / (times_s[-1] - times_s[0])


@dataclass(slots=True)
class Snapshot:
    """All that was seen.

    Attributes:
        namespace: of the stack.
        seconds: of watching; it ended at the steady time end_s.
        topics: our name -> what was seen.
        nodes: name -> what was seen.
        commands: our names of the topics to the controllers.
        clock: of /clock.
        pose: where the camera stands; pose_problem: why that is not known.
        gate: state, code, message of the last safety_status, or None.
        task: state, code, message, dry_run of the last task_status, or None.
        complaints: node -> last message in diagnostics that is not OK.
    """

    namespace: str
    seconds: float
    topics: dict[str, TopicSeen]
    nodes: dict[str, NodeSeen]
    commands: tuple[str, ...]
    clock: TopicSeen
    end_s: float = 0.0
    pose: str = ""
    pose_problem: str = ""
    gate: tuple[str, str, str] | None = None
    task: tuple[str, str, str, bool] | None = None
    complaints: dict[str, str] = field(default_factory=dict)
