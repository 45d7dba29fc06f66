# SPDX-License-Identifier: Apache-2.0
"""One version, one set of interfaces, parameters that exist, shipped models that are whole."""

import dataclasses
import importlib
import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import mu0_core
from mu0_core.weights.cache import check_manifest

ROOT = Path(__file__).resolve().parents[2]
NODES = (
    "simulator",
    "trace_forecaster",
    "action_expert",
    "safety_gate",
    "task_server",
    "visualizer",
    "mock_robot",
    "recorder",
)


def test_the_version_is_the_same_everywhere():
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert manifest.findtext("version") == project["version"] == mu0_core.__version__


def test_the_customers_packages_are_declared():
    names = {
        e.text for e in ElementTree.parse(ROOT / "package.xml").getroot() if "depend" in e.tag
    }
    assert {"rclpy", "cv_bridge", "tf_transformations", "moveit_py", "python3-torch"} <= names


def settings_of(node):
    module = importlib.import_module(f"mu0_ros.nodes.{node}_node")
    camel = "".join(part.capitalize() for part in node.split("_"))
    return getattr(module, f"{camel}Parameters")


@pytest.mark.parametrize("node", NODES)
def test_every_parameter_says_what_it_is(node):
    pytest.importorskip("rclpy")
    for field in dataclasses.fields(settings_of(node)):
        assert len(field.metadata["doc"]) > 8, field.name
        unit = re.search(r"_(s|m|rad|hz|px)$", field.name)
        if unit and isinstance(field.default, float):
            assert field.metadata["unit"], f"{field.name} has no unit"
        if isinstance(field.default, float):
            assert field.metadata["low"] is not None, f"{field.name} has no range"


def test_the_parameter_file_names_no_node():
    """A key of a node would beat ``-p NAME:=VALUE`` without a word."""
    data = yaml.safe_load((ROOT / "config" / "mu0.yaml").read_text())
    assert list(data) == ["/**"]


def test_the_parameter_file_names_only_declared_parameters():
    pytest.importorskip("rclpy")
    data = yaml.safe_load((ROOT / "config" / "mu0.yaml").read_text())
    known = {f.name for node in NODES for f in dataclasses.fields(settings_of(node))}
    assert set(data["/**"]["ros__parameters"]) <= known


def test_every_node_has_a_program():
    for node in NODES:
        program = ROOT / "scripts" / f"{node}_node"
        assert program.stat().st_mode & 0o111 and f"nodes.{node}_node" in program.read_text()


def test_every_error_code_of_the_core_is_in_the_message():
    from mu0_core import errors

    constants = set(re.findall(r"int32 ([A-Z_]+)=", (ROOT / "msg" / "ErrorCode.msg").read_text()))
    codes = {c.code for c in vars(errors).values() if isinstance(c, type) and hasattr(c, "code")}
    assert codes <= constants


def test_shipped_models_are_whole_and_small():
    models = [p for p in (ROOT / "mu0_core" / "assets" / "models").iterdir() if p.is_dir()]
    assert models
    for folder in models:
        check_manifest(folder)
        assert (folder / "MODEL_CARD.md").is_file(), folder.name
    size = sum(f.stat().st_size for m in models for f in m.rglob("*") if f.is_file())
    assert size < 60e6


def test_no_module_is_too_long():
    long = {
        str(p.relative_to(ROOT)): n
        for folder in ("mu0_core", "mu0_ros")
        for p in (ROOT / folder).rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 400
    }
    assert long == {}
