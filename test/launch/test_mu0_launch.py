# SPDX-License-Identifier: Apache-2.0
"""mu0.launch.py against a strict double: processes that exist, parameters that the nodes declare,
remappings of topics that they have. Where the real `launch` is installed it loads the file too."""

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from mu0_core.errors import ConfigError
from mu0_ros.bringup.arguments import ARGUMENTS
from mu0_ros.bringup.cameras import TOPICS

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "launch" / "mu0.launch.py"
sys.path.insert(0, str(Path(__file__).parent))
import launch_double as double  # noqa: E402

sys.path.pop(0)

STACK = {"trace_forecaster", "action_expert", "safety_gate", "task_server", "visualizer"}
WORLDS = {
    "mujoco": {"simulator", "robot_state_publisher"},
    "mock": {"mock_robot", "robot_state_publisher"},
    "gazebo": {"robot_state_publisher", "mu0_bridge", "mu0_spawn", "mu0_spawner", "mu0_camera"},
    "real": set(),
}
DRIVEN = {  # arm -> its controllers' topics
    "fr3": ("arm_controller", "gripper_controller"),
    "ur5e": ("scaled_joint_trajectory_controller", "gripper_controller"),
    "so101": ("arm_controller", "gripper_controller"),
}


@pytest.fixture
def description(monkeypatch):
    double.install(ROOT, monkeypatch)
    return load()


def load():
    spec = importlib.util.spec_from_file_location("mu0_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def of_kind(entities, kind):
    return [e for e in entities if isinstance(e, kind)]


def started(description, **given):
    """Return (values of all arguments, node name -> node)."""
    values, actions = double.execute(description, **given)
    return values, {n.name: n for n in of_kind(actions, double.Node)}


def own(nodes):
    return {name: node for name, node in nodes.items() if node.package == "mu0"}


def decided(node):
    """Return the parameters that the launch file itself sets."""
    plain = {}
    for entry in node.parameters:
        if isinstance(entry, dict):
            plain |= {k: getattr(v, "value", v) for k, v in entry.items()}
    return plain


def module_of(name):
    return importlib.import_module(f"mu0_ros.nodes.{name}_node")


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def settings(description, folder, name, **given):
    """Return the settings that a node really has when it is launched, before it is configured."""
    rclpy = pytest.importorskip("rclpy")
    values, nodes = started(description, **given)
    rclpy.init(args=nodes[name].arguments(values, folder))
    try:
        node = getattr(module_of(name), f"{camel(name)}Node")()
        found = node.settings, node.get_parameter("use_sim_time").value
        assert node.get_fully_qualified_name() == f"/{values['namespace']}/{name}"
        node.destroy_node()
    finally:
        rclpy.shutdown()
    return found


def topics_of_the_reference():
    """Node -> topics that docs/reference/nodes.md lists, which a test compares with the nodes."""
    page = (ROOT / "docs" / "reference" / "nodes.md").read_text()
    parts = re.split(r"^## (\w+)$", page, flags=re.MULTILINE)[1:]
    return {
        name: set(re.findall(r"^\| (?:in|out) \| `([^`]+)`", text, re.MULTILINE))
        for name, text in zip(parts[::2], parts[1::2])
    }


def test_every_argument_has_a_default_and_a_description(description):
    arguments = of_kind(description.entities, double.DeclareLaunchArgument)
    assert {a.name for a in arguments} >= {
        "robot",
        "sim",
        "model",
        "action_expert",
        "dry_run",
        "namespace",
        "params_file",
        "rviz",
        "record",
        "record_dir",
    }
    assert all(a.default_value is not None and len(a.description) > 10 for a in arguments)
    assert all(not a.choices or a.default_value in a.choices for a in arguments)


@pytest.mark.parametrize("sim", WORLDS)
@pytest.mark.parametrize("robot", DRIVEN)
def test_each_world_starts_its_processes_for_each_arm(description, sim, robot):
    if sim == "gazebo":
        pytest.importorskip("xacro")
    values, nodes = started(description, sim=sim, robot=robot)
    assert set(nodes) == STACK | WORLDS[sim]
    for name, node in own(nodes).items():
        program = ROOT / "scripts" / node.executable
        assert program.is_file() and program.stat().st_mode & 0o111
        assert f"nodes.{name}_node" in program.read_text()
    assert all(double.resolve(node.namespace, values) == "mu0" for node in nodes.values())


@pytest.mark.parametrize("sim", WORLDS)
def test_every_parameter_is_one_that_the_node_declares(description, sim):
    pytest.importorskip("rclpy")
    if sim == "gazebo":
        pytest.importorskip("xacro")
    given = {
        "model": "m",
        "action_expert": "geometric",
        "dry_run": "true",
        "speed_scale": "0.3",
        "seed": "3",
        "namespace": "left",
        "camera": "realsense",
        "frame_prefix": "left/",
    }
    for name, node in own(started(description, sim=sim, **given)[1]).items():
        known = set(getattr(module_of(name), f"{camel(name)}Parameters").__dataclass_fields__)
        assert set(decided(node)) <= known | {"use_sim_time", "autostart"}, name


@pytest.mark.parametrize("robot", DRIVEN)
def test_every_remapped_topic_is_one_that_the_node_has(description, robot):
    known = topics_of_the_reference()
    known["action_expert"] |= set(TOPICS)  # with a planner
    _, nodes = started(description, sim="real", robot=robot, driver_namespace="/")
    mapped = {name: dict(node.remappings) for name, node in own(nodes).items()}
    ours = dict(zip(DRIVEN[robot], DRIVEN["fr3"]))  # the page is written with the first arm
    for name, rules in mapped.items():
        for topic in rules:
            first, _, rest = topic.partition("/")
            assert "/".join(filter(None, (ours.get(first, first), rest))) in known[name]
    arm, gripper = DRIVEN[robot]
    assert mapped["safety_gate"] == {
        "joint_states": "/joint_states",
        f"{arm}/joint_trajectory": f"/{arm}/joint_trajectory",
        f"{gripper}/joint_trajectory": f"/{gripper}/joint_trajectory",
    }
    assert set(mapped["action_expert"]) == {"joint_states", *TOPICS}
    assert mapped["action_expert"]["joint_states"] == "/joint_states"
    assert mapped["trace_forecaster"]["depth/image_raw"] == (
        "/camera/camera/aligned_depth_to_color/image_raw"
    )


@pytest.mark.parametrize("sim, expected", [("mujoco", True), ("mock", False), ("real", False)])
def test_time_follows_the_world(description, sim, expected):
    nodes = own(started(description, sim=sim)[1])
    assert {name: decided(n)["use_sim_time"] for name, n in nodes.items()} == {
        name: expected and name != "simulator" for name in nodes
    }
    other = own(started(description, sim=sim, use_sim_time=str(not expected).lower())[1])
    assert decided(other["safety_gate"])["use_sim_time"] is not expected


def test_a_real_arm_stands_still_unless_it_is_said_twice(description):
    gate = started(description, sim="real")[1]["safety_gate"]
    assert decided(gate)["dry_run"] is True and decided(gate)["speed_scale"] == 0.1
    with pytest.raises(ConfigError, match="armed:=true"):
        started(description, sim="real", dry_run="false")
    armed = started(description, sim="real", dry_run="false", armed="true")[1]["safety_gate"]
    assert decided(armed)["dry_run"] is False
    with pytest.raises(ConfigError, match="armed:=true"):
        started(description, sim="real", dry_run="false", armed="false")
    for sim in ("mujoco", "mock"):
        assert "dry_run" not in decided(started(description, sim=sim)[1]["safety_gate"])


@pytest.mark.parametrize(
    "blocks",
    [
        {"/**": {"dry_run": False}},
        {"/mu0/safety_gate": {"jitter_s": 0.02}, "/**": {"dry_run": False}},  # would beat us
    ],
)
def test_a_file_cannot_make_a_real_arm_move(description, tmp_path, blocks):
    file = tmp_path / "own.yaml"
    text = {key: {"ros__parameters": values} for key, values in blocks.items()}
    file.write_text(yaml.safe_dump(text, sort_keys=False))
    with pytest.raises(ConfigError, match=r"dry_run: False under /\*\*"):
        started(description, sim="real", params_file=str(file))


@pytest.mark.parametrize("name", sorted(STACK | {"simulator"}))
def test_nodes_start_with_their_defaults(description, tmp_path, name):
    found, use_sim_time = settings(description, tmp_path, name)
    assert found == type(found)() and use_sim_time is (name != "simulator")


def test_arguments_reach_the_nodes(description, tmp_path):
    assert settings(description, tmp_path, "simulator", seed="7")[0].seed == 7
    assert settings(description, tmp_path, "safety_gate", dry_run="true")[0].dry_run is True
    expert = settings(description, tmp_path, "action_expert", robot="so101", namespace="left")[0]
    assert (expert.robot, expert.model_id, expert.frame_prefix) == ("so101", "", "left/")
    given = {"action_expert": "geometric", "model": "mine"}
    assert settings(description, tmp_path, "action_expert", **given)[0].model_id == "geometric"
    assert settings(description, tmp_path, "trace_forecaster", **given)[0].model_id == "mine"
    mock = settings(description, tmp_path, "mock_robot", sim="mock", camera="realsense")[0]
    assert mock.camera is False


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


def test_a_robot_named_by_the_file_of_the_user_counts(description, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": {"robot": "so101"}}}))
    nodes = started(description, params_file=str(file))[1]
    assert decided(nodes["safety_gate"])["robot"] == "so101"
    assert 'name="so101"' in decided(nodes["robot_state_publisher"])["robot_description"]
    given = started(description, params_file=str(file), robot="ur5e")[1]
    assert decided(given["safety_gate"])["robot"] == "ur5e"


def test_images_get_their_transport_profile_before_any_node(description):
    entities = double.execute(description)[1]
    kinds = [type(e) for e in entities]
    variable = of_kind(entities, double.SetEnvironmentVariable)[0]
    assert variable.name == "FASTRTPS_DEFAULT_PROFILES_FILE" and Path(variable.value).is_file()
    assert kinds.index(double.SetEnvironmentVariable) < kinds.index(double.Node)


def test_gazebo_gets_our_world_and_a_partition_of_its_own(description):
    pytest.importorskip("xacro")
    _, actions = double.execute(description, sim="gazebo", namespace="left", robot="ur5e")
    include = of_kind(actions, double.IncludeLaunchDescription)[0]
    assert include.source.path.endswith("ros_gz_sim/launch/gz_sim.launch.py")
    world = include.launch_arguments["gz_args"].removeprefix("-r ")
    assert ">left/scene_camera_optical_frame<" in Path(world).read_text()
    variables = {v.name: v.value for v in of_kind(actions, double.SetEnvironmentVariable)}
    assert variables["GZ_PARTITION"] == "left"
    nodes = {n.name: n for n in of_kind(actions, double.Node)}
    assert "/left/controller_manager" in nodes["mu0_spawner"].cli_arguments
    assert dict(nodes["mu0_bridge"].remappings) == {"/clock": "/left/clock"}
    assert nodes["mu0_camera"].cli_arguments[-1] == "left/scene_camera_optical_frame"
    text = decided(nodes["robot_state_publisher"])["robot_description"]
    assert ElementTree.fromstring(text).find("ros2_control") is not None


def test_rviz_and_recording_start_only_when_asked_for(description):
    _, actions = double.execute(description)
    assert not {"rviz", "recorder"} & {n.name for n in of_kind(actions, double.Node)}
    _, actions = double.execute(description, rviz="true", record="true", namespace="left")
    rviz = {n.name: n for n in of_kind(actions, double.Node)}["rviz"]
    assert rviz.executable == "rviz2" and Path(rviz.cli_arguments[1]).is_file()
    recorder = {n.name: n for n in of_kind(actions, double.Node)}["recorder"]
    assert (recorder.executable, recorder.namespace) == ("recorder_node", "left")
    assert decided(recorder)["out"] == "recordings"


def test_the_double_is_strict(description):
    with pytest.raises(TypeError):
        double.Node(package="mu0", executable="x", name="x", parametres=[])
    with pytest.raises(KeyError):
        double.execute(description, sed="7")
    with pytest.raises(ValueError):
        double.execute(description, sim="maybe")


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="the real launch is not installed"
)
def test_the_real_launch_takes_the_file():
    from launch.actions import DeclareLaunchArgument

    made = load().entities
    names = [entity.name for entity in made if isinstance(entity, DeclareLaunchArgument)]
    assert names == [argument.name for argument in ARGUMENTS]


def test_the_small_arm_stands_in_the_embedded_simulator(description, tmp_path):
    given = {"robot": "so101", "sim": "mujoco"}
    for name in ("simulator", "action_expert", "safety_gate"):
        assert settings(description, tmp_path, name, **given)[0].robot == "so101"
    assert settings(description, tmp_path, "action_expert", **given)[0].model_id == ""  # its own
