# SPDX-License-Identifier: Apache-2.0
"""What the launch file decides: cameras, RViz, recording, refusals; without `launch` or ROS."""

import pytest
import yaml

from mu0_core.errors import ConfigError
from mu0_core.paths import config_file
from mu0_core.robot.description import load_robot
from mu0_ros.bringup.cameras import TOPICS, camera_topics
from mu0_ros.bringup.plan import plan_nodes, plan_record
from mu0_ros.bringup.request import read_request
from mu0_ros.bringup.rviz import plan_rviz, rviz_config
from mu0_ros.recording.contract import recorded_topics

PRESETS = sorted(p.stem for p in config_file("cameras/sim.yaml").parent.glob("*.yaml"))


def nodes(**given):
    return {p.name: p for p in plan_nodes(read_request(given))}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_all_topics_of_the_camera_once(name):
    topics = camera_topics(name)
    assert set(topics) == set(TOPICS) and len(set(topics.values())) == len(TOPICS)


def test_the_presets_that_are_promised_are_there():
    assert {"sim", "realsense", "gazebo"} <= set(PRESETS)


@pytest.mark.parametrize(
    "text, message",
    [
        ("topics: {color/image_raw: a}", "expected"),
        ("topics: {color/image_raw: /a, depth/image_raw: b, color/camera_info: c}", "relative"),
        ("remap: {}", "KeyError"),
    ],
)
def test_a_wrong_preset_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        camera_topics(str(path))


def test_an_own_camera_reaches_the_nodes_that_look(tmp_path):
    path = tmp_path / "mine.yaml"
    mine = dict(zip(TOPICS, ("rgb", "dist", "info")))
    path.write_text(yaml.safe_dump({"topics": mine}))
    found = nodes(sim="mock", camera=str(path), driver_namespace="cell/front")
    assert found["trace_forecaster"].remappings == {
        own: f"/cell/front/{name}" for own, name in mine.items()
    }
    assert set(found["visualizer"].remappings) == {TOPICS[0], TOPICS[2]}
    assert found["safety_gate"].remappings == {}
    assert found["mock_robot"].parameters["camera"] is False


def test_the_camera_of_a_simulation_is_its_own_and_of_a_real_arm_the_robots():
    assert read_request({"sim": "mujoco"}).camera == "sim"
    assert read_request({"sim": "real"}).camera == "realsense"
    assert read_request({"sim": "real", "camera": "gazebo"}).camera == "gazebo"


@pytest.mark.parametrize(
    "given, message",
    [
        ({"sim": "moon"}, "sim:=moon: allowed are mujoco, gazebo, mock, real"),
        ({"robt": "fr3"}, "unknown arguments"),
        ({"dry_run": "yes"}, "dry_run:=yes"),
        ({"robot": "nobody"}, "robots/nobody.yaml"),
        ({"params_file": "/nowhere.yaml"}, "cannot read params_file"),
        ({"sim": "real", "dry_run": "false"}, "armed:=true"),
    ],
)
def test_what_cannot_be_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        read_request(given)


def test_a_file_that_is_no_parameter_file_is_refused(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("robot: fr3\n")
    with pytest.raises(ConfigError, match="ros__parameters"):
        read_request({"params_file": str(path)})


def test_what_is_not_given_is_left_to_the_file_of_the_user():
    for process in nodes().values():
        assert set(process.parameters) <= {"use_sim_time", "robot"}


def test_speed_is_a_tenth_on_a_real_arm_and_may_be_chosen():
    assert nodes(sim="real")["safety_gate"].parameters["speed_scale"] == 0.1
    assert nodes(sim="real")["safety_gate"].parameters["arming_s"] == 1.0
    chosen = nodes(sim="real", speed_scale="0.05")["safety_gate"]
    assert chosen.parameters["speed_scale"] == 0.05


def test_rviz_shows_the_namespace_arm_and_camera_that_were_asked_for(tmp_path):
    given = {"namespace": "left", "robot": "ur5e", "camera": "realsense"}
    request = read_request({**given, "driver_namespace": "/"})
    data = yaml.safe_load(rviz_config(request))["Visualization Manager"]
    assert data["Global Options"]["Fixed Frame"] == "left/base_link"
    shown = {d["Name"]: d for d in data["Displays"]}
    assert shown["Traces"]["Topic"]["Value"] == "/left/traces/markers"
    assert shown["Camera"]["Topic"]["Value"] == "/camera/camera/color/image_raw"
    assert shown["Arm"]["TF Prefix"] == "left"
    assert shown["Arm"]["Description Topic"]["Value"] == "/left/robot_description"
    process = plan_rviz(request, tmp_path)
    assert yaml.safe_load(open(process.arguments[1]).read())


def test_rviz_of_the_default_shows_topics_that_the_nodes_have():
    page = (config_file("mu0.yaml").parents[1] / "docs/reference/nodes.md").read_text()
    data = yaml.safe_load(rviz_config(read_request({})))["Visualization Manager"]
    topics = [d["Topic"]["Value"] for d in data["Displays"] if "Topic" in d]
    assert len(topics) == 4
    for topic in topics:
        assert f"`{topic.removeprefix('/mu0/')}`" in page


def test_the_recorder_listens_to_the_names_on_the_wire():
    own = plan_record(read_request({"namespace": "left"}))
    assert (own.executable, own.namespace) == ("recorder_node", "left")
    assert own.parameters["out"] == "recordings" and own.remappings == {"/clock": "/left/clock"}
    given = {"sim": "real", "robot": "ur5e", "driver_namespace": "/", "record_dir": "/data"}
    real = plan_record(read_request(given))
    assert real.parameters["robot"] == "ur5e" and real.parameters["out"] == "/data"
    commands = "scaled_joint_trajectory_controller/joint_trajectory"
    expected = {"joint_states": "/joint_states", commands: f"/{commands}"}
    expected["color/image_raw"] = "/camera/camera/color/image_raw"
    assert expected.items() <= real.remappings.items()
    topics = recorded_topics(load_robot("ur5e"))
    assert set(real.remappings) <= set(topics), "a rule for a topic that is not recorded"
