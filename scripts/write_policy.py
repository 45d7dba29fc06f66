#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write config/sros2/mu0.policy.xml from the running nodes.

Run it in the ROS environment after a topic or a service has come or gone:
``eval "$(python -m mu0_ros.environment)"; python scripts/write_policy.py``. Every node is made
active with a fake model; what it then has on the wire is what it may have. Look at the difference
before it is committed: a right that nobody meant to give is the point of the file.
"""

from __future__ import annotations

import importlib
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from mu0_core.cli.processes import NODES
from mu0_ros.recording.contract import CONTRACT, command_topics
from mu0_ros.security import Rights, common_rights, running_rights

ROOT = Path(__file__).resolve().parents[1]
POLICY = ROOT / "config" / "sros2" / "mu0.policy.xml"
NAMESPACE = "/mu0"
ENCLAVES = (*NODES, "mock_robot", "recorder")
_FAKE = {"backend": "fake"}
_GROUPS = {
    "publish": ("topics", "topic"),
    "subscribe": ("topics", "topic"),
    "reply": ("services", "service"),
    "request": ("services", "service"),
    "execute": ("actions", "action"),
    "call": ("actions", "action"),
}
_HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written by scripts/write_policy.py from the running nodes; a test compares.
     Only safety_gate may command the controllers, only action_expert may propose chunks.
     How to use it: docs/how-to/secure.md. -->
<policy version="0.2.0">
  <enclaves>
"""


def enclaves() -> dict[str, dict[str, Rights]]:
    """Return enclave -> node -> rights, from nodes that run one after the other."""
    found = {name: dict(rights_of(name)) for name in ENCLAVES}
    found["operator"] = {"task_client": operator_rights(found)}
    return found


def rights_of(name: str) -> Any:
    """Yield (node, rights) of the nodes in one of our processes."""
    from mu0_ros.testing.bench import Bench

    module = importlib.import_module(f"mu0_ros.nodes.{name}_node")
    make = getattr(module, f"{''.join(part.capitalize() for part in name.split('_'))}Node")
    with tempfile.TemporaryDirectory() as folder:
        values = {"trace_forecaster": _FAKE, "action_expert": _FAKE}.get(name, {})
        values |= {"recorder": {"out": folder}}.get(name, {})
        with Bench({name: values} if values else None) as bench:
            node = bench.add(make())
            _be_watched(bench, name, node)
            bench.spin_for(2.0)
            for found, space in bench.probe.get_node_names_and_namespaces():
                if space == NAMESPACE and found in (name, f"{name}_camera"):
                    extra = _late(name) if found == name else Rights()
                    life = common_rights(space, found, lifecycle=found == name)
                    used = running_rights(bench.probe, found, space)
                    yield found, used | life | extra


def _be_watched(bench: Any, name: str, node: Any) -> None:
    """Let the visualizer subscribe to images: it does so only while somebody looks."""
    if name == "visualizer":
        from sensor_msgs.msg import Image

        from mu0_ros import qos

        bench.collect(Image, "traces/overlay", qos.NEWEST)
        bench.until(lambda: node._colour is not None, what="subscription to images")


def _late(name: str) -> Rights:
    """Return what a node has only later: tf where it is installed, topics that appear."""
    if name == "action_expert":
        return Rights(subscribe=frozenset({"/tf", "/tf_static"}))
    if name in ("simulator", "mock_robot"):
        return Rights(publish=frozenset({"/tf_static"}))
    if name != "recorder":
        return Rights()
    from mu0_core.robot.description import load_robot

    topics = (*CONTRACT, *command_topics(load_robot("fr3")))
    asked = ("list_parameters", "get_parameters")
    nodes = ("trace_forecaster", "action_expert", "safety_gate", "task_server")
    return Rights(
        subscribe=frozenset(t if t.startswith("/") else f"{NAMESPACE}/{t}" for t in topics),
        request=frozenset(f"{NAMESPACE}/{n}/{service}" for n in nodes for service in asked),
    )


def operator_rights(found: dict[str, dict[str, Rights]]) -> Rights:
    """Return what a person's tools may: ask for tasks, stop, look at all; publish nothing."""
    everything = [rights for nodes in found.values() for rights in nodes.values()]
    heard = frozenset(t for r in everything for t in r.publish)
    services = ("execute_task", "cancel_task", "predict_traces", "select_query_points")
    gate = ("safety_gate/stop", "safety_gate/reset")
    states = (f"{n}/get_state" for n in ENCLAVES)
    asked = frozenset(f"{NAMESPACE}/{s}" for s in (*services, *gate, *states))
    read = frozenset(
        s
        for r in everything
        for s in r.reply
        if s.endswith(("/list_parameters", "/get_parameters"))
    )
    own = common_rights(NAMESPACE, "task_client", lifecycle=False)
    return own | Rights(
        subscribe=heard, request=asked | read, call=frozenset({f"{NAMESPACE}/run_task"})
    )


def policy_text(found: dict[str, dict[str, Rights]]) -> str:
    """Return the file."""
    lines = [_HEAD]
    for enclave, nodes in found.items():
        lines.append(f'    <enclave path="{NAMESPACE}/{enclave}">\n      <profiles>\n')
        for node, rights in nodes.items():
            lines.append(f'        <profile ns="{NAMESPACE}" node="{node}">\n')
            lines += list(_groups(rights))
            lines.append("        </profile>\n")
        lines.append("      </profiles>\n    </enclave>\n")
    return "".join([*lines, "  </enclaves>\n</policy>\n"])


def _groups(rights: Rights) -> Any:
    for field in fields(rights):
        names = sorted(getattr(rights, field.name))
        group, entry = _GROUPS[field.name]
        if names:
            yield f'          <{group} {field.name}="ALLOW">\n'
            for name in names:
                yield f"            <{entry}>{_shortened(name)}</{entry}>\n"
            yield f"          </{group}>\n"


def _shortened(name: str) -> str:
    return name.removeprefix(f"{NAMESPACE}/")


def main() -> None:
    """Write the file."""
    POLICY.parent.mkdir(parents=True, exist_ok=True)
    POLICY.write_text(policy_text(enclaves()))
    print(POLICY)


if __name__ == "__main__":
    main()
