# SPDX-License-Identifier: Apache-2.0
"""Who may speak where: the rights that ``config/sros2/mu0.policy.xml`` gives, and those in use.

The policy is what ``ros2 security`` makes permissions of. A test holds it against what the nodes
really have on the wire, so that a new topic does not go unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from xml.etree import ElementTree

from rclpy.action import (
    get_action_client_names_and_types_by_node,
    get_action_server_names_and_types_by_node,
)
from rclpy.node import Node

from mu0_core.errors import ConfigError

_ACTION = "/_action/"
# of every ROS 2 node
_PARAMETERS = (
    "describe_parameters get_parameter_types get_parameters list_parameters set_parameters "
    "set_parameters_atomically get_type_description"
).split()
_LIFE_CYCLE = (
    "change_state get_state get_available_states get_available_transitions get_transition_graph"
).split()


@dataclass(frozen=True)
class Rights:
    """Absolute names that an enclave or a node may use, or uses."""

    publish: frozenset[str] = frozenset()
    subscribe: frozenset[str] = frozenset()
    reply: frozenset[str] = frozenset()
    request: frozenset[str] = frozenset()
    execute: frozenset[str] = frozenset()
    call: frozenset[str] = frozenset()

    def __or__(self, other: Rights) -> Rights:
        """Return both together."""
        names = [f.name for f in fields(self)]
        return Rights(**{n: getattr(self, n) | getattr(other, n) for n in names})

    def beyond(self, other: Rights) -> dict[str, list[str]]:
        """Return what is here and not there: verb -> names."""
        names = [f.name for f in fields(self)]
        more = {n: sorted(getattr(self, n) - getattr(other, n)) for n in names}
        return {n: values for n, values in more.items() if values}


def common_rights(namespace: str, node: str, *, lifecycle: bool = True) -> Rights:
    """Return what every node has: log, parameters, clock; with a life cycle also its services."""
    own = f"/{namespace.strip('/')}/{node}"
    services = _PARAMETERS + (_LIFE_CYCLE if lifecycle else [])
    told = ["/rosout", "/parameter_events"]
    if lifecycle:
        told += ["/diagnostics", f"{own}/heartbeat", f"{own}/transition_event"]
    return Rights(
        publish=frozenset(told),
        subscribe=frozenset({"/clock", "/parameter_events"}),
        reply=frozenset(f"{own}/{service}" for service in services),
    )


def running_rights(probe: Node, node: str, namespace: str) -> Rights:
    """Return what a running node uses, as the graph shows it to another node."""

    def names(found: Iterable[tuple[str, list[str]]]) -> frozenset[str]:
        return frozenset(name for name, _ in found if _ACTION not in name)

    return Rights(
        publish=names(probe.get_publisher_names_and_types_by_node(node, namespace)),
        subscribe=names(probe.get_subscriber_names_and_types_by_node(node, namespace)),
        reply=names(probe.get_service_names_and_types_by_node(node, namespace)),
        request=names(probe.get_client_names_and_types_by_node(node, namespace)),
        execute=names(get_action_server_names_and_types_by_node(probe, node, namespace)),
        call=names(get_action_client_names_and_types_by_node(probe, node, namespace)),
    )


def read_policy(path: Path) -> dict[str, Rights]:
    """Return enclave -> rights of a policy file.

    Raises:
        ConfigError: it is no policy, or denies something: the rest is denied anyway.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ConfigError(f"cannot read policy {path}: {error}") from error
    if root.tag != "policy":
        raise ConfigError(f"{path}: root is <{root.tag}>, expected <policy>")
    found: dict[str, Rights] = {}
    for enclave in root.iter("enclave"):
        rights = Rights()
        for profile in enclave.iter("profile"):
            rights |= _of_profile(path, profile)
        found[enclave.get("path", "")] = rights
    return found


def _of_profile(path: Path, profile: ElementTree.Element) -> Rights:
    namespace, node = profile.get("ns", "/").rstrip("/"), profile.get("node", "")
    verbs: dict[str, set[str]] = {}
    for group in profile:
        for verb, how in group.attrib.items():
            if how != "ALLOW":
                raise ConfigError(f"{path}: {node}: {verb}={how!r}, allowed is ALLOW")
            for entry in group:
                verbs.setdefault(verb, set()).add(_absolute(entry.text or "", namespace, node))
    return Rights(**{verb: frozenset(names) for verb, names in verbs.items()})


def _absolute(name: str, namespace: str, node: str) -> str:
    name = name.strip()
    if name.startswith("/"):
        return name
    if name.startswith("~"):
        raise ConfigError(f"{name!r} of {node}: say it relative to the namespace, without ~")
    return f"{namespace}/{name}"
