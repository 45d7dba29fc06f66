# SPDX-License-Identifier: Apache-2.0
"""The demo launch file: arguments, nodes, parameters that exist, programs that are there."""

import dataclasses
import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))
import launch_double as double  # noqa: E402

sys.path.pop(0)


@pytest.fixture
def description(monkeypatch):
    double.install(ROOT, monkeypatch)
    spec = importlib.util.spec_from_file_location("demo_launch", ROOT / "launch" / "demo.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def of_kind(description, kind):
    return [e for e in description.entities if isinstance(e, kind)]


def defaults(description):
    return {a.name: a.default_value for a in of_kind(description, double.DeclareLaunchArgument)}


def test_every_argument_has_a_default_and_a_description(description):
    arguments = of_kind(description, double.DeclareLaunchArgument)
    assert {a.name for a in arguments} == {"namespace", "use_sim_time", "params_file", "dry_run", "seed"}
    assert all(a.default_value is not None and a.description for a in arguments)


def test_nodes_are_ours_and_their_programs_exist(description):
    nodes = of_kind(description, double.Node)
    assert len(nodes) == 6
    for node in nodes:
        assert node.package == "mu0"
        assert (ROOT / "scripts" / node.executable).is_file()
        assert double.resolve(node.namespace, defaults(description)) == "mu0"


def test_parameters_set_by_the_launch_file_are_declared_by_the_node(description):
    pytest.importorskip("rclpy")
    values = defaults(description)
    for node in of_kind(description, double.Node):
        module = importlib.import_module(f"mu0_ros.nodes.{node.executable}")
        camel = "".join(part.capitalize() for part in node.name.split("_"))
        declared = {f.name: f for f in dataclasses.fields(getattr(module, f"{camel}Parameters"))}
        for entry in node.parameters:
            if not isinstance(entry, dict):
                assert Path(double.resolve(entry, values)).is_file()
                continue
            for name, value in entry.items():
                if name == "use_sim_time":
                    continue
                assert isinstance(double.resolve(value, values), type(declared[name].default)), name


def test_images_get_their_transport_profile_before_any_node(description):
    kinds = [type(e) for e in description.entities]
    variable = of_kind(description, double.SetEnvironmentVariable)[0]
    assert variable.name == "FASTRTPS_DEFAULT_PROFILES_FILE" and Path(variable.value).is_file()
    assert kinds.index(double.SetEnvironmentVariable) < kinds.index(double.Node)


def test_the_double_is_strict():
    with pytest.raises(TypeError):
        double.Node(package="mu0", executable="x", name="x", parametres=[])
