# SPDX-License-Identifier: Apache-2.0
"""What the script for Gazebo Classic puts around the nodes; Gazebo itself is not started here."""

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

from mu0_core.cli.processes import NodeProcesses
from mu0_ros.gazebo_classic.rates import Rates

SCRIPTS = Path(__file__).parents[2] / "scripts" / "gazebo_classic"


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("mujoco")
    spec = importlib.util.spec_from_file_location("gazebo_classic_run", SCRIPTS / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_only_the_simulator_is_another_process(script):
    class Plain(NodeProcesses):
        def __init__(self):
            self._parameters = {}

    class Gazebo(script.GazeboProcesses, Plain):
        pass

    for name in ("trace_forecaster", "action_expert", "safety_gate", "task_server"):
        assert Gazebo()._command(name) == Plain()._command(name)
    plain, gazebo = Plain()._command("simulator"), Gazebo()._command("simulator")
    changed = [(a, b) for a, b in zip(plain, gazebo, strict=True) if a != b]
    assert changed == [("mu0_ros.nodes.simulator_node", "mu0_ros.gazebo_classic.node")]


def test_the_node_is_a_simulator_node_and_the_client_a_task_client():
    pytest.importorskip("rclpy")
    from mu0_ros.client import TaskClient
    from mu0_ros.gazebo_classic.client import PatientClient
    from mu0_ros.gazebo_classic.node import GazeboClassicNode
    from mu0_ros.nodes.simulator_node import SimulatorNode

    assert issubclass(GazeboClassicNode, SimulatorNode)
    assert issubclass(PatientClient, TaskClient)
    for hook in ("_run", "_reset", "_step", "_publish_images", "_ask"):
        assert hasattr(SimulatorNode, hook), "the node replaces a method that is gone"


def test_rates_leave_resets_out(monkeypatch, tmp_path):
    now = [100.0]
    monkeypatch.setattr("mu0_ros.gazebo_classic.rates.time.monotonic", lambda: now[0])
    rates = Rates()
    for _ in range(11):
        started, now[0] = now[0], now[0] + 0.04
        rates.stepped(started, 0.02, 0.001)
    started, now[0] = now[0], now[0] + 0.08
    rates.imaged(started)
    rates.pause()
    now[0] += 30.0
    started, now[0] = now[0], now[0] + 0.04
    rates.stepped(started, 0.02, 0.001)
    rates.write(tmp_path / "rates.json")
    told = json.loads((tmp_path / "rates.json").read_text())
    assert told["real_time_factor"] == pytest.approx(0.5)
    assert told["images_hz"] == pytest.approx(2.5)
    assert told["step_20ms_p50_ms"] == pytest.approx(40)
    assert told["image_pair_p50_ms"] == pytest.approx(80)
    assert told["simulated_s"] == pytest.approx(0.2)


def test_rates_say_nothing_before_there_is_something():
    assert Rates().to_json() == {}


def test_setup_is_a_shell_script_that_names_no_mirror():
    text = (SCRIPTS / "setup.sh").read_text()
    assert subprocess.run(["bash", "-n", str(SCRIPTS / "setup.sh")]).returncode == 0
    assert "http" not in text and "indextargets" in text


@pytest.mark.parametrize("word", ["Classic", "Harmonic"])
def test_the_script_says_which_gazebo_it_is(script, word):
    assert word in script.__doc__
