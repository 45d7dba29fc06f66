# SPDX-License-Identifier: Apache-2.0
"""What was seen of a running stack becomes findings: a healthy one has none but ok."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mu0_core.operation.findings import FAIL, OK, WARN, examine
from mu0_core.operation.snapshot import NODES, Endpoint, NodeSeen, Snapshot, TopicSeen

COMMANDS = ("arm_controller/joint_trajectory", "gripper_controller/joint_trajectory")
GATE = Endpoint("/mu0/safety_gate")
DRIVER = Endpoint("/driver", "best_effort")
WALL_S = 1.8e9


def times(rate_hz: float, seconds: float = 5.0) -> list[float]:
    return [k / rate_hz for k in range(int(rate_hz * seconds) + 1)]


def stream(name: str, rate_hz: float, age_s: float = 0.03) -> TopicSeen:
    seen = TopicSeen(f"/mu0/{name}", (DRIVER,), (Endpoint("/mu0/reader", "best_effort"),))
    seen.arrivals_s = times(rate_hz)
    seen.wall_ages_s = [age_s] * len(seen.arrivals_s)
    seen.sim_ages_s = [age_s - WALL_S] * len(seen.arrivals_s)
    return seen


def healthy() -> Snapshot:
    topics = {
        "color/image_raw": stream("color/image_raw", 10.0),
        "depth/image_raw": stream("depth/image_raw", 10.0),
        "color/camera_info": stream("color/camera_info", 10.0),
        "joint_states": stream("joint_states", 100.0, 0.005),
        "safety_status": stream("safety_status", 10.0),
        **{c: TopicSeen(f"/mu0/{c}", (GATE,), (Endpoint("/controller"),)) for c in COMMANDS},
    }
    for name in ("color/camera_info", "safety_status"):
        topics[name].wall_ages_s = topics[name].sim_ages_s = []
    parameters = {"use_sim_time": False, "dry_run": False, "speed_scale": 0.1}
    nodes = {n: NodeSeen(1, times(10.0), "active", dict(parameters)) for n in NODES}
    seen = Snapshot("/mu0", 5.0, topics, nodes, COMMANDS, TopicSeen("/clock"), 5.0)
    seen.pose, seen.gate = "camera at (1, 0, 1) m in base", ("IDLE", "SUCCESS", "")
    seen.task = ("SUCCEEDED", "SUCCESS", "", False)
    return seen


def test_a_healthy_stack_has_only_ok() -> None:
    found = examine(healthy())
    assert {f.level for f in found} == {OK} and not any(f.cure for f in found)
    assert {f.name for f in found} >= {"clock", "quality of service", "gate", *COMMANDS}


def simulated(seen: Snapshot) -> None:
    for node in seen.nodes.values():
        node.parameters["use_sim_time"] = True
    seen.clock.publishers, seen.clock.arrivals_s = (Endpoint("/sim"),), times(50.0)


def drop(seen: Snapshot, name: str) -> None:
    seen.topics[name].publishers, seen.topics[name].arrivals_s = (), []


def node(name: str, **values) -> Callable[[Snapshot], None]:
    def spoil(seen: Snapshot) -> None:
        for key, value in values.items():
            setattr(seen.nodes[name], key, value)

    return spoil


def topic(name: str, **values) -> Callable[[Snapshot], None]:
    def spoil(seen: Snapshot) -> None:
        for key, value in values.items():
            setattr(seen.topics[name], key, value)

    return spoil


ARM = COMMANDS[0]
FAULTS = [
    (node("task_server", count=0, beats_s=[]), "node task_server", "no heartbeat of /mu0/task_s"),
    (node("task_server", beats_s=[]), "node task_server", "still loads its model"),
    (node("action_expert", beats_s=times(10, 2)), "node action_expert", "no heartbeat for 3.0 s"),
    (node("action_expert", beats_s=times(2)), "node action_expert", "2.0 heartbeats/s"),
    (node("safety_gate", state="inactive"), "node safety_gate", "state inactive, not active"),
    (node("safety_gate", state=""), "node safety_gate", "does not answer"),
    (node("safety_gate", count=2), "node safety_gate", "2 nodes have this name"),
    (
        node("safety_gate", parameters={"use_sim_time": True}),
        "clock",
        "simulated time: safety_gate; wall time: action_expert, task_server, trace_forecaster",
    ),
    (lambda s: drop(s, "joint_states"), "joint_states", "nobody publishes /mu0/joint_states"),
    (topic("depth/image_raw", arrivals_s=[]), "depth/image_raw", "nothing came in 5 s"),
    (topic("color/image_raw", arrivals_s=times(10, 1)), "color/image_raw", "for 4.0 s"),
    (topic("joint_states", wall_ages_s=[0.4] * 9), "joint_states", "0.40 s old on arrival"),
    (topic("joint_states", wall_ages_s=[-0.3] * 9), "joint_states", "0.30 s in the future"),
    (topic("color/image_raw", wall_ages_s=[WALL_S] * 9), "color/image_raw", "another clock, or z"),
    (
        topic("color/image_raw", wall_ages_s=[WALL_S] * 9, sim_ages_s=[0.1] * 9),
        "color/image_raw",
        "stamps are of simulated time",
    ),
    (topic("color/image_raw", repeated=40), "color/image_raw", "stamps repeat the one before"),
    (
        topic("joint_states", subscribers=(Endpoint("/mu0/eager"),)),
        "quality of joint_states",
        "/driver (best effort, not latched) -> /mu0/eager (reliable, not latched)",
    ),
    (
        topic(ARM, subscribers=(Endpoint("/c", "reliable", "transient_local"),)),
        f"quality of {ARM}",
        "/c (reliable, latched)",
    ),
    (topic(ARM, publishers=(GATE, Endpoint("/me"))), ARM, "/me commands /mu0/arm_controller"),
    (topic(ARM, publishers=(GATE, GATE)), ARM, "2 publishers of"),
    (topic(ARM, subscribers=()), ARM, "no controller listens"),
    (topic(ARM, publishers=()), ARM, "the gate does not publish"),
    (lambda s: setattr(s, "pose_problem", "no tf"), "place of the camera", "no tf"),
    (
        lambda s: setattr(s, "gate", ("LATCHED", "TRACKING_ERROR", "0.2 rad")),
        "gate",
        "LATCHED: TRACKING_ERROR 0.2 rad",
    ),
]


@pytest.mark.parametrize("spoil, name, words", FAULTS)
def test_a_fault_is_one_failure_with_a_cure(spoil, name: str, words: str) -> None:
    seen = healthy()
    spoil(seen)
    (failed,) = [f for f in examine(seen) if f.level == FAIL]
    assert failed.name == name and words in failed.found, failed
    assert len(failed.cure) > 8


@pytest.mark.parametrize(
    "publishers, arrivals_s, words",
    [
        ((), [], "0 publishers of /clock"),
        ((Endpoint("/a"), Endpoint("/b")), times(50.0), "2 publishers of /clock: /a, /b"),
        ((Endpoint("/a"),), times(1.0), "stands still or crawls"),
    ],
)
def test_simulated_time_needs_one_running_clock(publishers, arrivals_s, words: str) -> None:
    seen = healthy()
    simulated(seen)
    for each in seen.topics.values():
        each.wall_ages_s, each.sim_ages_s = each.sim_ages_s, each.wall_ages_s
    assert not [f for f in examine(seen) if f.level == FAIL]
    seen.clock.publishers, seen.clock.arrivals_s = publishers, arrivals_s
    (failed,) = [f for f in examine(seen) if f.level == FAIL]
    assert failed.name == "clock" and words in failed.found


@pytest.mark.parametrize(
    "spoil, name, words",
    [
        (lambda s: setattr(s, "gate", ("HOLDING", "OBSERVATION_STALE", "x")), "gate", "HOLDING"),
        (
            lambda s: setattr(s, "task", ("ABORTED", "TIMEOUT", "60 s", True)),
            "last task",
            "ABORTED: TIMEOUT 60 s, dry run",
        ),
        (lambda s: s.complaints.update({"/mu0/x": "hot"}), "diagnostics", "/mu0/x: hot"),
        (topic("joint_states", arrivals_s=times(10.0)), "joint_states", "at least 20 expected"),
    ],
)
def test_what_people_must_judge_is_a_warning(spoil, name: str, words: str) -> None:
    seen = healthy()
    spoil(seen)
    (warned,) = [f for f in examine(seen) if f.level != OK]
    assert (warned.level, warned.name) == (WARN, name) and words in warned.found
