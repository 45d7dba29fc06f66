#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write docs/reference/nodes.md and messages.md from the running nodes and the interface files.

Run it in the ROS environment after a node or a message has changed:
``eval "$(python -m mu0_ros.environment)"; python scripts/write_reference.py``. Every node is
configured with a fake model, and what it then has on the wire is listed.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mu0_core.cli.processes import NODES

ROOT = Path(__file__).resolve().parents[1]
SHOWN = (*NODES, "mock_robot", "recorder")
REFERENCE = ROOT / "docs" / "reference"
_MODELS = {"backend": "fake"}
_POSE = {"camera_frame": "camera", "camera_pose": [0.0] * 6 + [1.0]}
# What a node is configured with, one after the other; the union is listed.
_VARIANTS = {
    "trace_forecaster": [_MODELS],
    "action_expert": [
        {**_MODELS, "transform_source": "topic"},
        {**_MODELS, "transform_source": "static", **_POSE},
    ],
}

_NODES_HEAD = """\
# Nodes

Written by `scripts/write_reference.py` from the running nodes; a test compares. Topics and
services are relative to the node's namespace (`/mu0` in the demo) and can be remapped; `~` is the
node. Types of this package are described in [messages](messages.md), faults in [faults](faults.md).

Every node is a lifecycle node and besides what is listed below has

* `~/heartbeat` (std_msgs/msg/Header, 10 Hz, steady clock) and `/diagnostics`
  (diagnostic_msgs/msg/DiagnosticArray, 1 Hz: last error, counters; of each stage and callback
  the last time, the median and the 95th percentile of the last 200, as `STAGE_ms`,
  `STAGE_p50_ms`, `STAGE_p95_ms`);
* the services of a lifecycle node (`~/change_state`, `~/get_state`, ...) and of parameters;
* `autostart` (bool, default true): configure and activate at start; else a manager does;
* `use_sim_time` (bool, default false): time comes from `/clock`.

Parameters are read-only: they are set when the process starts (`-p NAME:=VALUE`, a file of
parameters, or the launch file) and a value outside its range is refused. With tf2_ros installed the
simulator also tells the camera's pose on `/tf_static`, and `action_expert` listens to tf unless
`transform_source` says otherwise.
"""
_MESSAGES_HEAD = """\
# Messages, services, action

Written by `scripts/write_reference.py` from `msg/`, `srv/` and `action/`; a test compares. SI
units; the unit of a field stands in brackets where it has one. Frames, pixels and time:
[conventions](conventions.md).
"""


# -- messages ------------------------------------------------------------------------------------


def messages_page() -> str:
    """Return docs/reference/messages.md."""
    parts = [_MESSAGES_HEAD]
    for kind, titles in (
        ("msg", ("Fields",)),
        ("srv", ("Request", "Response")),
        ("action", ("Goal", "Result", "Feedback")),
    ):
        for file in sorted((ROOT / kind).iterdir()):
            parts.append(f"## {file.stem} ({kind})\n")
            text, sections = parse_interface(file.read_text())
            parts.append(f"{text}\n")
            for title, (constants, fields) in zip(titles, sections, strict=True):
                if len(titles) > 1:
                    parts.append(f"{title}:\n")
                if fields:
                    rows = [(f"`{n}`", f"`{t}`", note) for t, n, note in fields]
                    parts.append(table(("field", "type", "meaning"), rows))
                else:
                    parts.append("nothing.\n")
                if constants:
                    rows = [(f"`{n}`", v, note) for n, v, note in constants]
                    parts.append(table(("constant", "value", "meaning"), rows))
    return "\n".join(parts)


def parse_interface(text: str) -> tuple[str, list[tuple[list, list]]]:
    """Return the description and for each section (constants, fields), each with its comment.

    A comment line belongs to the field below it, above constants to all of them up to the next.
    """
    lines = text.splitlines()
    description = []
    while lines and lines[0].startswith("#"):
        description.append(lines.pop(0).lstrip("# "))
    if not description:
        raise ValueError("an interface file must begin with a comment that says what it is")
    sections: list[tuple[list, list]] = [([], [])]
    pending, group = [], ""
    for line in lines:
        body, _, note = (part.strip() for part in line.partition("#"))
        if body == "---":
            sections.append(([], []))
            pending, group = [], ""
        elif not body:
            pending = [*pending, note] if note else []
            group = note
        elif "=" in body:
            kind_and_name, value = (part.strip() for part in body.split("="))
            sections[-1][0].append((kind_and_name.split()[1], value, note or group))
            pending = []
        else:
            kind, name = body.split()
            sections[-1][1].append((kind, name, " ".join([*pending, note]).strip()))
            pending, group = [], ""
    return textwrap.fill(" ".join(description), 99), sections


# -- nodes ---------------------------------------------------------------------------------------


def nodes_page() -> str:
    """Return docs/reference/nodes.md; needs the ROS environment and no running context."""
    parts = [_NODES_HEAD]
    for name in SHOWN:
        parts += node_part(name)
    return "\n".join(parts)


def node_part(name: str) -> Iterator[str]:
    """Yield the parts of one node."""
    module = importlib.import_module(f"mu0_ros.nodes.{name}_node")
    camel = "".join(part.capitalize() for part in name.split("_"))
    make, settings = getattr(module, f"{camel}Node"), getattr(module, f"{camel}Parameters")
    yield f"## {name}\n"
    yield inspect.getdoc(module).replace("``", "`") + "\n"
    topics, services, extra = set(), set(), {}
    for values in _VARIANTS.get(name, [{}]):
        with configured(make, name, values) as (node, bench):
            topics |= set(topics_of(node, name))
            services |= set(services_of(node, name, bench))
            extra |= extra_parameters(node, settings)
    rows = [(way, f"`{topic}`", kind, how) for topic, way, kind, how in sorted(topics)]
    if rows:
        yield table(("", "topic", "type", "quality of service"), sorted(rows))
    if services:
        yield table(("", "service or action", "type"), sorted(services))
    fields = [parameter_row(field) for field in dataclasses.fields(settings)]
    fields += [(f"`{key}`", *row) for key, row in sorted(extra.items())]
    yield table(("parameter", "default", "unit", "range", "meaning"), fields)


class configured:
    """Context manager: a configured node with somebody who looks at all it shows."""

    def __init__(self, make: Any, name: str, values: dict[str, Any]) -> None:
        from mu0_ros.testing.bench import Bench

        self._bench = Bench({name: values} if values else None)
        self._make, self._name = make, name

    def __enter__(self) -> tuple[Any, Any]:
        bench = self._bench.__enter__()
        node = bench.add(self._make(), start=False)
        node.trigger_configure()
        if not node.configured:
            raise RuntimeError(f"{self._name} cannot be configured; see the log")
        if self._name == "visualizer":  # images only while somebody looks at the overlay
            from sensor_msgs.msg import Image

            from mu0_ros import qos

            node.trigger_activate()
            bench.collect(Image, "traces/overlay", qos.NEWEST)
            bench.until(lambda: node._colour is not None, what="subscription to images")
        return node, bench

    def __exit__(self, *error: object) -> None:
        self._bench.__exit__(*error)


def topics_of(node: Any, name: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield (topic, in or out, type, quality of service) beyond what every node has."""
    own = node._own_entities
    out = [("out", p, p.topic_name) for p in node.publishers if p not in own]
    into = [("in", s, s.topic_name) for s in node.subscriptions if s not in own]
    camera = getattr(node, "_camera", None)
    if hasattr(camera, "_node"):
        into += [("in", s, s.topic_name) for s in camera._node.subscriptions]
    for way, entity, topic in out + into:
        if not topic.startswith(("/tf", "/parameter_events", "/rosout")):
            how = quality(entity.qos_profile)
            yield relative(topic, name), way, type_name(entity.msg_type), how


def services_of(node: Any, name: str, bench: Any) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, name, type) beyond what every node has."""
    from rclpy.action import ActionServer, get_action_server_names_and_types_by_node

    for service in node.services:
        if service not in node._own_entities:
            yield "service", f"`{relative(service.srv_name, name)}`", type_name(service.srv_type)
    if any(isinstance(waitable, ActionServer) for waitable in node.waitables):
        found = bench.until(
            lambda: get_action_server_names_and_types_by_node(bench.probe, name, "/mu0")
        )
        for action, kinds in found:
            yield "action", f"`{relative(action, name)}`", linked(kinds[0])


def extra_parameters(node: Any, settings: type) -> dict[str, tuple[str, str, str, str]]:
    """Return what a node declares only where it is needed: name -> (default, unit, range, doc)."""
    known = {f.name for f in dataclasses.fields(settings)} | {"autostart", "use_sim_time"}
    return {
        key: ("none", "", "", node.describe_parameter(key).description)
        for key in node._parameters
        if key not in known
        and "qos_overrides" not in key
        and "service_introspection" not in key
        and key != "start_type_description_service"
    }


def parameter_row(field: dataclasses.Field) -> tuple[str, str, str, str, str]:
    """Return name, default, unit, range and meaning."""
    data = field.metadata
    span = "" if data["low"] is None else f"{data['low']:g} to {number(data['high'])}"
    default = str(field.default).lower() if isinstance(field.default, bool) else field.default
    shown = f"`{default}`" if default != "" else "empty"
    return f"`{field.name}`", shown, data["unit"], span, data["doc"]


def number(value: float) -> str:
    """Return a bound; powers of two that stand for no bound as such."""
    exponent = int(value).bit_length() - 1
    return f"2^{exponent}" if value > 1e6 and int(value) == 1 << exponent else f"{value:g}"


def relative(topic: str, name: str) -> str:
    """Return a resolved name as the node wrote it."""
    return re.sub("^/mu0/", "", re.sub(f"^/mu0/{name}/", "~/", topic))


def type_name(kind: type) -> str:
    """Return ``package/msg/Type``, linked where it is one of ours."""
    package, folder = kind.__module__.split(".")[:2]
    return linked(f"{package}/{folder}/{kind.__name__}")


def linked(full: str) -> str:
    """Return a type's name with a link to its description where it is one of ours."""
    package, folder, name = full.split("/")
    return f"[{full}](messages.md#{name.lower()}-{folder})" if package == "mu0" else full


def quality(profile: Any) -> str:
    """Return reliability, durability and depth in words."""
    words = [profile.reliability.name.lower().replace("_", " "), f"last {profile.depth}"]
    if profile.durability.name == "TRANSIENT_LOCAL":
        words.append("latched")
    return ", ".join(words)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [tuple(head), *((("---",) * len(tuple(head))),), *rows]
    return "".join("| " + " | ".join(_cell(c) for c in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|")


def main() -> None:
    """Write both pages."""
    (REFERENCE / "messages.md").write_text(messages_page())
    (REFERENCE / "nodes.md").write_text(nodes_page())


if __name__ == "__main__":
    main()
