# SPDX-License-Identifier: Apache-2.0
"""From what was seen of a running stack to findings: one line each, with a cure. No ROS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from mu0_core.operation.snapshot import GATE, NODES, Snapshot, TopicSeen, rate_hz

OK, WARN, FAIL = "ok", "WARN", "FAIL"
_MIN_RATE_HZ = {
    "color/image_raw": 1.0,
    "depth/image_raw": 1.0,
    "color/camera_info": 1.0,
    "joint_states": 20.0,
    "safety_status": 5.0,
}
_MAX_AGE_S = {"color/image_raw": 1.0, "depth/image_raw": 1.0, "joint_states": 0.25}
_FUTURE_S = 0.05
_SILENT_S = 1.0
_BEATS_HZ = 5.0  # half of what a node sends
_WRONG_CLOCK_S = 30.0
_CURES = {
    "color/image_raw": "start the camera, or say its topic: -r color/image_raw:=/NAME",
    "depth/image_raw": "turn depth on, aligned to colour, or say its topic: -r",
    "color/camera_info": "the driver must publish camera_info beside the colour image, or -r",
    "joint_states": "start the robot's driver, or say its topic: -r joint_states:=/NAME",
    "safety_status": "start safety_gate",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: level (ok, WARN, FAIL), what, what was found, what to do."""

    level: str
    name: str
    found: str
    cure: str = ""


def examine(seen: Snapshot) -> list[Finding]:
    """Return all findings, in the order in which data flows."""
    parts: tuple[Callable[[Snapshot], Iterator[Finding]], ...] = (
        _nodes,
        _clocks,
        _streams,
        _quality,
        _pose,
        _controllers,
        _gate,
        _task,
        _complaints,
    )
    return [finding for part in parts for finding in part(seen)]


def _nodes(seen: Snapshot) -> Iterator[Finding]:
    for name in NODES:
        node, label = seen.nodes[name], f"node {name}"
        rate = rate_hz(node.beats_s)
        silent_s = seen.end_s - node.beats_s[-1] if node.beats_s else 0.0
        full = f"{seen.namespace}/{name}".replace("//", "/")
        if node.count == 0 and not node.beats_s:
            cure = "start it; same ROS_DOMAIN_ID and --namespace?"
            yield Finding(FAIL, label, f"no heartbeat of {full}", cure)
        elif node.count > 1:
            found = f"{node.count} nodes have this name"
            yield Finding(FAIL, label, found, "end all but one, or give each a namespace")
        elif not node.beats_s:
            found = "no heartbeat: it still loads its model, hangs, or died less than 20 s ago"
            yield Finding(FAIL, label, found, "look at its log; wait, or start it anew")
        elif silent_s > _SILENT_S:
            found = f"no heartbeat for {silent_s:.1f} s: it hangs or has died"
            yield Finding(FAIL, label, found, "look at its log; start it anew")
        elif rate < _BEATS_HZ:
            found = f"{rate:.1f} heartbeats/s, 10 expected: it hangs or the machine is overloaded"
            yield Finding(FAIL, label, found, "look at its log and at the load")
        elif node.state != "active":
            found = f"state {node.state or 'unknown, it does not answer'}, not active"
            cure = f"ros2 lifecycle set {full} activate; its log says why it did not"
            yield Finding(FAIL, label, found, cure)
        else:
            yield Finding(OK, label, f"active, {rate:.0f} heartbeats/s")


def _clocks(seen: Snapshot) -> Iterator[Finding]:
    uses = {
        name: bool(node.parameters["use_sim_time"])
        for name, node in seen.nodes.items()
        if "use_sim_time" in node.parameters
    }
    simulated = sorted(name for name, use in uses.items() if use)
    if simulated and len(simulated) < len(uses):
        others = ", ".join(sorted(set(uses) - set(simulated)))
        found = f"simulated time: {', '.join(simulated)}; wall time: {others}"
        yield Finding(FAIL, "clock", found, "give all nodes the same use_sim_time")
        return
    publishers = [p.node for p in seen.clock.publishers]
    if simulated and len(publishers) != 1:
        found = f"{len(publishers)} publishers of {seen.clock.name}: {', '.join(publishers)}"
        cure = "start the simulator, or use_sim_time:=false" if not publishers else "end one"
        yield Finding(FAIL, "clock", found.rstrip(": "), cure)
    elif simulated and seen.clock.rate_hz() < 5.0:
        found = f"{seen.clock.name} at {seen.clock.rate_hz():.1f} Hz: time stands still or crawls"
        yield Finding(FAIL, "clock", found, "unpause the simulator")
    elif uses:
        kind = f"simulated, {seen.clock.rate_hz():.0f} Hz" if simulated else "wall"
        yield Finding(OK, "clock", f"{kind}, the same for {len(uses)} nodes")


def _streams(seen: Snapshot) -> Iterator[Finding]:
    clocks = {n.parameters.get("use_sim_time") for n in seen.nodes.values()} - {None}
    simulated, is_mixed = True in clocks, len(clocks) > 1
    for name, slowest_hz in _MIN_RATE_HZ.items():
        topic = seen.topics[name]
        rate = topic.rate_hz()
        ages = topic.sim_ages_s if simulated else topic.wall_ages_s
        age = median(ages) if ages and not is_mixed else None
        if not topic.publishers:
            yield Finding(FAIL, name, f"nobody publishes {topic.name}", _CURES[name])
        elif not topic.arrivals_s:
            who = ", ".join(p.node for p in topic.publishers)
            found = f"{who} publishes {topic.name}, nothing came in {seen.seconds:g} s"
            cure = "FASTRTPS_DEFAULT_PROFILES_FILE for large images; is the driver streaming?"
            yield Finding(FAIL, name, found, cure)
        elif seen.end_s - topic.arrivals_s[-1] > _SILENT_S + 1.0 / slowest_hz:
            found = f"nothing on {topic.name} for {seen.end_s - topic.arrivals_s[-1]:.1f} s"
            yield Finding(FAIL, name, found, "it stopped while we looked: see the driver's log")
        elif age is not None and name in _MAX_AGE_S and not _fits(age, _MAX_AGE_S[name]):
            yield _bad_age(name, topic, age, simulated)
        elif rate < slowest_hz:
            found = f"{rate:.1f} Hz on {topic.name}, at least {slowest_hz:g} expected"
            yield Finding(WARN, name, found, "a loaded machine, or a slow driver")
        elif topic.repeated > len(topic.arrivals_s) // 2:
            found = f"{topic.repeated} of {len(topic.arrivals_s)} stamps repeat the one before"
            yield Finding(FAIL, name, found, "the driver is frozen: start it anew")
        else:
            older = "" if age is None else f", {max(age, 0.0) * 1e3:.0f} ms old"
            yield Finding(OK, name, f"{rate:.1f} Hz{older} ({topic.name})")


def _fits(age_s: float, allowed_s: float) -> bool:
    return -_FUTURE_S <= age_s <= allowed_s


def _bad_age(name: str, topic: TopicSeen, age: float, simulated: bool) -> Finding:
    ours, other = ("simulated", "wall") if simulated else ("wall", "simulated")
    others = topic.wall_ages_s if simulated else topic.sim_ages_s
    if abs(age) > _WRONG_CLOCK_S:
        fits = bool(others) and _fits(median(others), _MAX_AGE_S[name])
        whose = f"of {other} time" if fits else "of another clock, or zero"
        found = f"stamps are {whose} ({age:.0f} s off), the nodes use {ours} time"
        return Finding(FAIL, name, found, "use_sim_time of the driver and of the nodes must agree")
    if age < 0:
        found = f"stamps lie {-age:.2f} s in the future"
        return Finding(FAIL, name, found, "synchronise the clocks of the machines (chrony, PTP)")
    found = f"{age:.2f} s old on arrival, allowed {_MAX_AGE_S[name]:g} s"
    cure = "clocks of two machines that differ, or a slow network or driver"
    return Finding(FAIL, name, found, cure)


def _quality(seen: Snapshot) -> Iterator[Finding]:
    pairs, bad = 0, 0
    for name, topic in seen.topics.items():
        for publisher in topic.publishers:
            for subscriber in topic.subscribers:
                pairs += 1
                why = []
                if (publisher.reliability, subscriber.reliability) == ("best_effort", "reliable"):
                    why.append("best effort does not serve reliable")
                if (publisher.durability, subscriber.durability) == (
                    "volatile",
                    "transient_local",
                ):
                    why.append("a topic that is not latched does not serve one who wants it so")
                if why:
                    bad += 1
                    found = f"{publisher.describe()} -> {subscriber.describe()}"
                    yield Finding(
                        FAIL, f"quality of {name}", found, f"{'; '.join(why)}: change it"
                    )
    if not bad:
        yield Finding(OK, "quality of service", f"{pairs} pairs fit")


def _pose(seen: Snapshot) -> Iterator[Finding]:
    if seen.pose_problem:
        cure = "publish the transform: mu0 calibrate hand-eye finds it"
        yield Finding(FAIL, "place of the camera", seen.pose_problem, cure)
    elif seen.pose:
        yield Finding(OK, "place of the camera", seen.pose)


def _controllers(seen: Snapshot) -> Iterator[Finding]:
    gate = f"{seen.namespace}/{GATE}".replace("//", "/")
    for name in seen.commands:
        topic = seen.topics[name]
        strangers = sorted(p.node for p in topic.publishers if p.node != gate)
        listeners = [s.node for s in topic.subscribers]
        if strangers:
            found = f"{', '.join(strangers)} commands {topic.name} beside the gate"
            cure = "end it: only the gate may command (docs/how-to/secure.md)"
            yield Finding(FAIL, name, found, cure)
        elif len(topic.publishers) > 1:
            found = f"{len(topic.publishers)} publishers of {topic.name}"
            yield Finding(FAIL, name, found, "end all gates but one")
        elif not listeners:
            cure = "start or activate the controller, or say its topic: -r"
            yield Finding(FAIL, name, f"no controller listens to {topic.name}", cure)
        elif not topic.publishers:
            yield Finding(FAIL, name, f"the gate does not publish {topic.name}", "same robot? -r")
        else:
            yield Finding(OK, name, f"{gate} -> {', '.join(listeners)}")


def _gate(seen: Snapshot) -> Iterator[Finding]:
    if seen.gate is None:
        return
    state, code, message = seen.gate
    told = f"{state}: {code} {message}".strip() if code != "SUCCESS" else state
    reset = f"ros2 service call {seen.namespace}/{GATE}/reset std_srvs/srv/Trigger"
    if state == "LATCHED":
        yield Finding(FAIL, "gate", told, f"remove the cause, then {reset}")
    elif state == "HOLDING" and code not in ("SUCCESS", "CANCELED"):
        yield Finding(WARN, "gate", told, "it goes on by itself when the cause clears")
    else:
        parameters = seen.nodes[GATE].parameters
        dry = ", dry run: it commands nothing" if parameters.get("dry_run") else ""
        scale = parameters.get("speed_scale")
        yield Finding(OK, "gate", told + (f", speed scale {scale:g}" if scale else "") + dry)


def _task(seen: Snapshot) -> Iterator[Finding]:
    if seen.task is None:
        return
    state, code, message, dry_run = seen.task
    told = f"{state}: {code} {message}".strip() if code != "SUCCESS" else state
    dry = ", dry run" if dry_run else ""
    yield Finding(WARN if state == "ABORTED" else OK, "last task", told + dry)


def _complaints(seen: Snapshot) -> Iterator[Finding]:
    for node, message in sorted(seen.complaints.items()):
        yield Finding(WARN, "diagnostics", f"{node}: {message}")
