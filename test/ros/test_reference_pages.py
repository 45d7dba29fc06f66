# SPDX-License-Identifier: Apache-2.0
"""The reference pages say what the running nodes and the interface files say."""

import importlib.util
from pathlib import Path

import pytest

from mu0_ros.tf import TF2_AVAILABLE

ROOT = Path(__file__).resolve().parents[2]
REPAIR = "stale: run python scripts/write_reference.py in the ROS environment"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(
        "write_reference", ROOT / "scripts" / "write_reference.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name):
    return (ROOT / "docs" / "reference" / name).read_text()


def test_messages(script):
    assert page("messages.md") == script.messages_page(), REPAIR


@pytest.mark.skipif(TF2_AVAILABLE, reason="the page is written where tf2_ros is absent")
def test_nodes(script):
    assert page("nodes.md") == script.nodes_page(), REPAIR


def test_every_interface_and_every_node_has_its_part(script):
    messages, nodes = page("messages.md"), page("nodes.md")
    for kind in ("msg", "srv", "action"):
        for file in (ROOT / kind).iterdir():
            assert f"## {file.stem} ({kind})" in messages
    for name in script.NODES:
        assert f"## {name}\n" in nodes
    assert "| `faults` |" in nodes and "| `max_failures` |" in nodes


def test_comments_belong_to_what_they_stand_at(script):
    text, sections = script.parse_interface(
        "# What it is,\n# in words.\n\n# above\nfloat32 a\nfloat32 b # [m] beside\n"
        "# group\nint32 ONE=1\nint32 TWO=2 # own\nfloat32 c\n---\nstring d\n"
    )
    assert text == "What it is, in words."
    assert sections[0][1] == [
        ("float32", "a", "above"),
        ("float32", "b", "[m] beside"),
        ("float32", "c", ""),
    ]
    assert sections[0][0] == [("ONE", "1", "group"), ("TWO", "2", "own")]
    assert sections[1] == ([], [("string", "d", "")])
    with pytest.raises(ValueError, match="comment"):
        script.parse_interface("float32 a\n")
