# SPDX-License-Identifier: Apache-2.0
"""The demo launch file: arguments, nodes, programs that are there, parameters that arrive."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))
import launch_double as double  # noqa: E402

sys.path.pop(0)

ARGUMENTS = {"namespace", "use_sim_time", "params_file", "simulator", "dry_run", "seed"}


@pytest.fixture
def description(monkeypatch):
    double.install(ROOT, monkeypatch)
    spec = importlib.util.spec_from_file_location(
        "demo_launch", ROOT / "launch" / "demo.launch.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def of_kind(entities, kind):
    return [e for e in entities if isinstance(e, kind)]


def started(description, **given):
    """Return (values of all arguments, node name -> node)."""
    values, actions = double.execute(description, **given)
    return values, {n.name: n for n in of_kind(actions, double.Node)}


def settings(description, folder, name, **given):
    """Return the settings that a node really has when it is launched, before it is configured."""
    rclpy = pytest.importorskip("rclpy")
    values, nodes = started(description, **given)
    camel = "".join(part.capitalize() for part in name.split("_"))
    module = importlib.import_module(f"mu0_ros.nodes.{nodes[name].executable}")
    rclpy.init(args=nodes[name].arguments(values, folder))
    try:
        node = getattr(module, f"{camel}Node")()
        found = node.settings, node.get_parameter("use_sim_time").value
        assert node.get_fully_qualified_name() == f"/{values['namespace']}/{name}"
        node.destroy_node()
    finally:
        rclpy.shutdown()
    return found


def test_every_argument_has_a_default_and_a_description(description):
    arguments = of_kind(description.entities, double.DeclareLaunchArgument)
    assert {a.name for a in arguments} == ARGUMENTS
    assert all(a.default_value is not None and a.description for a in arguments)


def test_nodes_are_ours_and_their_programs_exist(description):
    values, nodes = started(description)
    assert len(nodes) == 6
    for node in nodes.values():
        assert node.package == "mu0"
        assert (ROOT / "scripts" / node.executable).is_file()
        assert double.resolve(node.namespace, values) == "mu0"


def test_without_the_simulator_everything_else_starts(description):
    with_it, without = started(description)[1], started(description, simulator="false")[1]
    assert set(with_it) - set(without) == {"simulator"}


@pytest.mark.parametrize(
    "name",
    ["simulator", "trace_forecaster", "action_expert", "safety_gate", "task_server", "visualizer"],
)
def test_nodes_start_with_their_defaults(description, tmp_path, name):
    found, use_sim_time = settings(description, tmp_path, name)
    assert found == type(found)() and use_sim_time is True


def test_arguments_reach_the_nodes(description, tmp_path):
    assert settings(description, tmp_path, "simulator", seed="7")[0].seed == 7
    assert settings(description, tmp_path, "safety_gate", dry_run="true")[0].dry_run is True
    for name in ("simulator", "task_server"):
        found = settings(description, tmp_path, name, use_sim_time="false", namespace="left")
        assert found[1] is False


OWN_FILES = [
    {"/**": {"seed": 11, "dry_run": True, "robot": "fr3"}},
    {"/mu0/simulator": {"seed": 11}, "/mu0/safety_gate": {"dry_run": True}},
    {"/**": {"robot": "fr3"}, "/**/simulator": {"seed": 11}, "/**/safety_gate": {"dry_run": True}},
]


@pytest.mark.parametrize("blocks", OWN_FILES, ids=["all", "names", "mixed"])
def test_a_file_of_the_user_counts_until_an_argument_is_given(description, tmp_path, blocks):
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({k: {"ros__parameters": v} for k, v in blocks.items()}))

    def have(name, **given):
        return settings(description, tmp_path, name, params_file=str(file), **given)[0]

    assert have("simulator").seed == 11
    assert have("safety_gate").dry_run is True
    assert have("simulator", seed="7").seed == 7
    assert have("safety_gate", dry_run="false").dry_run is False


def test_images_get_their_transport_profile_before_any_node(description):
    entities = double.execute(description)[1]
    kinds = [type(e) for e in entities]
    variable = of_kind(entities, double.SetEnvironmentVariable)[0]
    assert variable.name == "FASTRTPS_DEFAULT_PROFILES_FILE" and Path(variable.value).is_file()
    assert kinds.index(double.SetEnvironmentVariable) < kinds.index(double.Node)


def test_the_double_is_strict(description):
    with pytest.raises(TypeError):
        double.Node(package="mu0", executable="x", name="x", parametres=[])
    with pytest.raises(KeyError):
        double.execute(description, sed="7")
    with pytest.raises(ValueError):
        double.execute(description, simulator="maybe")
