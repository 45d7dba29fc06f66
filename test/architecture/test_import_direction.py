# SPDX-License-Identifier: Apache-2.0
"""`mu0_core` never imports ROS, light parts never import torch, and the probe can fail."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROS = ("rclpy", "mu0", "builtin_interfaces", "std_msgs", "sensor_msgs", "geometry_msgs", "launch")
PROBE = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(",".join(sorted(n for n in sys.argv[2].split(",") if n in sys.modules)))
"""


def loaded(module, watched):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, module, ",".join(watched)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return [n for n in done.stdout.strip().split(",") if n]


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_no_file_of_the_core_imports_ros_or_the_shell():
    files = sorted((ROOT / "mu0_core").rglob("*.py"))
    assert len(files) > 50
    offenders = {
        str(path.relative_to(ROOT)): sorted(bad)
        for path in files
        if (bad := set(imported_names(path)) & {*ROS, "mu0_ros"})
    }
    assert offenders == {}


@pytest.mark.parametrize(
    "module",
    [
        "mu0_core.inference.runtime",
        "mu0_core.control.safety_gate",
        "mu0_core.simulation.closed_loop",
    ],
)
def test_importing_the_core_loads_no_ros(module):
    assert loaded(module, ROS) == []


@pytest.mark.parametrize("module", ["mu0_core.control.safety_gate", "mu0_core.robot.kinematics"])
def test_the_gate_needs_no_torch(module):
    assert loaded(module, ["torch", "transformers", "mujoco"]) == []


def test_the_probe_can_fail():
    assert loaded("mu0_core.model.world_model", ["torch"]) == ["torch"]


def test_training_is_not_part_of_the_run_time():
    for path in (ROOT / "mu0_core" / "inference").glob("*.py"):
        assert "mu0_core.training" not in path.read_text(), path.name
