# SPDX-License-Identifier: Apache-2.0
"""Parameters arrive: the shipped file never beats what the command line asks for."""

import dataclasses
import importlib

import pytest
import rclpy

from mu0_core.cli import processes
from mu0_core.cli.processes import NODES, NodeProcesses


def settings(name: str, **parameters: object):
    """Return what a node declares under the command line that `NodeProcesses` starts it with."""
    command = NodeProcesses({name: parameters})._command(name)
    rclpy.init(args=command[command.index("--ros-args") :])
    camel = "".join(part.capitalize() for part in name.split("_"))
    try:
        node = getattr(importlib.import_module(f"mu0_ros.nodes.{name}_node"), f"{camel}Node")()
        found = node.settings
        for field in dataclasses.fields(found):
            assert node.get_parameter(field.name).value == getattr(found, field.name)
        node.destroy_node()
    finally:
        rclpy.shutdown()
    return found


@pytest.fixture(autouse=True)
def no_child(monkeypatch):
    monkeypatch.setattr(processes, "_environment", dict)


@pytest.mark.parametrize("name", NODES)
def test_the_shipped_file_leaves_every_default(name):
    found = settings(name)
    assert found == type(found)()


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("trace_forecaster", "model_id", "another-world-model"),
        ("trace_forecaster", "num_samples", 3),
        ("action_expert", "model_id", "another-expert"),
        ("simulator", "seed", 7),
        ("safety_gate", "speed_scale", 0.2),
        ("safety_gate", "dry_run", True),
        ("task_server", "max_duration_s", 5.0),
        ("action_expert", "robot", "another-arm"),
    ],
)
def test_the_command_line_beats_the_shipped_file(name, parameter, value):
    assert getattr(settings(name, **{parameter: value}), parameter) == value
