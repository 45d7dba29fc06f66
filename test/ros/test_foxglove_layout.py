# SPDX-License-Identifier: Apache-2.0
"""The Foxglove layout shows topics, fields and services that the nodes have."""

import importlib
import json
import re

import pytest

pytest.importorskip("rclpy")
from mu0_core.paths import config_file

LAYOUT = json.loads(config_file("foxglove/mu0.json").read_text())
PANELS = LAYOUT["configById"]
PAGE = (config_file("mu0.yaml").parents[1] / "docs/reference/nodes.md").read_text()
PREFIX = "/mu0/"
SHOWN = {  # what a panel can show
    "3D": {
        "visualization_msgs/msg/MarkerArray",
        "sensor_msgs/msg/PointCloud2",
        "sensor_msgs/msg/CameraInfo",
        "sensor_msgs/msg/Image",
    },
    "Image": {
        "sensor_msgs/msg/Image",
        "sensor_msgs/msg/CameraInfo",
        "visualization_msgs/msg/MarkerArray",
    },
}


def wire_types() -> dict[str, str]:
    """Return topic -> type, of docs/reference/nodes.md, which a test compares with the nodes."""
    rows = re.findall(r"^\| out \| `([^`]+)` \| \[?([\w/]+)", PAGE, re.MULTILINE)
    found = {t if t.startswith("/") else PREFIX + t: kind for t, kind in rows}
    return {**found, "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray"}


def leaves(node) -> list[str]:
    if isinstance(node, str):
        return [node]
    assert node["direction"] in ("row", "column") and 0 < node["splitPercentage"] < 100
    return leaves(node["first"]) + leaves(node["second"])


def message_class(type_name: str) -> type:
    package, _, name = type_name.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def field_type(path: str) -> str:
    """Return the type of the last field of a message path such as /topic.field[:].field."""
    topic, *names = path.split(".")
    kind = wire_types()[topic]
    for name in names:
        fields = message_class(kind).get_fields_and_field_types()
        bare = name.removesuffix("[:]")
        assert bare in fields, f"{path}: {kind} has {sorted(fields)}"
        kind = fields[bare].replace("sequence<", "").rstrip(">")
        assert ("sequence" in fields[bare]) == name.endswith("[:]"), path
        package, _, message = kind.partition("/")
        kind = f"{package}/msg/{message}" if message else kind
    return kind


def test_every_panel_has_its_place_and_its_settings():
    assert sorted(leaves(LAYOUT["layout"])) == sorted(PANELS)


@pytest.mark.parametrize("panel", [p for p in PANELS if p.split("!")[0] in SHOWN])
def test_pictures_are_of_topics_that_are_pictures(panel):
    settings, allowed = PANELS[panel], SHOWN[panel.split("!")[0]]
    mode = settings.get("imageMode", {})
    topics = [*settings.get("topics", {}), *(mode[k] for k in mode if k.endswith("Topic"))]
    assert topics
    for topic in topics:
        assert wire_types()[topic] in allowed, topic


@pytest.mark.parametrize(
    "path",
    [p["value"] for s in PANELS.values() for p in s.get("paths", ())],
)
def test_curves_are_of_numbers(path):
    number = r"float|double|u?int(8|16|32|64)"
    assert re.fullmatch(number, field_type(path)), (path, field_type(path))


def test_raw_messages_diagnostics_and_services_exist():
    types = wire_types()
    for settings in PANELS.values():
        for key in ("topicPath", "topicToRender"):
            assert settings.get(key, "/diagnostics") in types
        name = settings.get("serviceName")
        if name:
            own = name.removeprefix(f"{PREFIX}safety_gate/")
            assert re.search(rf"^\| service \| `(~/)?{own.removeprefix(PREFIX)}`", PAGE, re.M)
            json.loads(settings["requestPayload"])
