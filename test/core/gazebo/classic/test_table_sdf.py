# SPDX-License-Identifier: Apache-2.0
"""The world for Gazebo Classic is Harmonic's table with what Classic needs otherwise."""

import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("mujoco")
os.environ.setdefault("MUJOCO_GL", "egl")

from mu0_core.errors import ConfigError
from mu0_core.gazebo.classic.table_sdf import (
    BODIES,
    COLOUR_SENSOR,
    DEPTH_SENSOR,
    HOUSING_VISUAL,
    servo_joints,
    table_sdf,
)
from mu0_core.gazebo.table_world import table_world
from mu0_core.gazebo.world_file import camera_pose
from mu0_core.robot.description import load_robot
from mu0_core.simulation.layout import sample_layout
from mu0_core.simulation.viewpoint import look_at

SEED = 50_000
PLUGIN_SOURCE = Path(__file__).parents[4] / "scripts/gazebo_classic/bridge_plugin.cc"


@pytest.fixture(scope="module")
def text():
    return table_sdf(SEED, load_robot("fr3"), "file:///meshes")


@pytest.fixture(scope="module")
def world(text):
    return ElementTree.fromstring(text).find("world")


def test_things_are_where_the_harmonic_world_has_them(world):
    harmonic = ElementTree.fromstring(table_world(SEED)).find("world")
    for model in harmonic.findall("model"):
        own = world.find(f"model[@name='{model.get('name')}']")
        assert own.findtext("pose") == model.findtext("pose")
        sizes = [size.text for size in model.iter("size")]
        assert [size.text for size in own.iter("size")] == sizes


def test_nothing_of_harmonic_is_left(text, world):
    assert ElementTree.fromstring(text).get("version") == "1.6"
    for word in ("gz-sim", "rgbd_camera", "gz_frame_id", "optical_frame_id", "dart"):
        assert word not in text
    assert [p.get("name") for p in world.findall("plugin")] == ["mu0_bridge"]


def test_both_cameras_see_what_the_embedded_one_sees(text, world, tmp_path):
    layout = sample_layout(SEED)
    (tmp_path / "world.sdf").write_text(text)
    truth = look_at(layout.camera_position_m, layout.camera_target_m)
    np.testing.assert_allclose(camera_pose(tmp_path / "world.sdf"), truth, atol=1e-5)
    sensors = world.findall("model[@name='scene_camera']/link/sensor")
    assert [s.get("type") for s in sensors] == ["camera", "depth"]
    assert [s.get("name") for s in sensors] == [COLOUR_SENSOR, DEPTH_SENSOR]
    for sensor in sensors:
        focal = 320 / np.tan(float(sensor.findtext("camera/horizontal_fov")) / 2)
        wanted = 240 / np.tan(np.radians(layout.camera_fovy_deg) / 2)
        assert focal == pytest.approx(wanted, rel=1e-5)
        assert sensor.findtext("always_on") == "false"  # it renders when asked


def test_the_plugin_is_told_joints_and_bodies_that_exist(world):
    plugin, arm = world.find("plugin"), world.find("model[@name='arm']")
    joints = [servo.findtext("joint") for servo in plugin.findall("servo")]
    assert tuple(joints) == servo_joints(load_robot("fr3"))
    assert set(joints) < {joint.get("name") for joint in arm.findall("joint")}
    assert tuple(body.text for body in plugin.findall("body")) == BODIES
    for body in BODIES:
        model, link = body.split("::")
        assert world.find(f"model[@name='{model}']/link[@name='{link}']") is not None
    model, link, visual = HOUSING_VISUAL.split("::")
    path = f"model[@name='{model}']/link[@name='{link}']/visual[@name='{visual}']"
    assert world.find(path) is not None


def test_fingers_lag_and_press_like_the_embedded_ones(world):
    servos = {s.findtext("joint"): s for s in world.findall("plugin/servo")}
    assert float(servos["fr3_joint1"].findtext("gain")) == 20
    assert float(servos["fr3_joint1"].findtext("force")) == 87
    assert float(servos["fr3_joint1"].findtext("squeeze")) == 0  # always its whole strength
    assert float(servos["fr3_finger_joint2"].findtext("gain")) == 15
    assert float(servos["fr3_finger_joint2"].findtext("squeeze")) == 600


def test_every_element_that_the_plugin_reads_is_written(world):
    import re

    read = set(re.findall(r'Get(?:Element)?(?:<[^>]*>)?\("(\w+)"\)', PLUGIN_SOURCE.read_text()))
    assert {"servo", "body", "model", "gain"} <= read
    written = {element.tag for element in world.find("plugin").iter()}
    assert read <= written


def test_light_is_the_embedded_simulators(world):
    layout = sample_layout(SEED)
    lights = {light.get("name"): light for light in world.findall("light")}
    lamp = [float(x) for x in lights["lamp"].findtext("diffuse").split()][:3]
    np.testing.assert_allclose(lamp, layout.lamp_rgb, atol=1e-5)
    look = [float(x) for x in lights["headlight"].findtext("direction").split()]
    towards = layout.camera_target_m - layout.camera_position_m
    np.testing.assert_allclose(look, towards / np.linalg.norm(towards), atol=1e-6)
    assert world.findtext("scene/ambient") == "0.35 0.35 0.35 1"


def test_fingers_and_cubes_give_a_little_and_the_table_does_not(world):
    for path in ("model[@name='arm']/link[@name='fr3_leftfinger']", "model[@name='cube_b']/link"):
        contact = world.find(f"{path}/collision/surface/contact/ode")
        assert float(contact.findtext("kp")) == 1e5
        assert float(contact.findtext("min_depth")) == 0.001
    assert world.find("model[@name='table']//surface/contact") is None


def test_the_button_is_dark_before_it_is_pressed(world):
    model, link, visual = HOUSING_VISUAL.split("::")
    path = f"model[@name='{model}']/link[@name='{link}']/visual[@name='{visual}']/material"
    for key in ("ambient", "diffuse"):
        assert world.findtext(f"{path}/{key}") == "0.25 0.25 0.25 1"


def test_an_arm_at_a_smaller_table_is_refused():
    with pytest.raises(ConfigError, match="so101: only arms at a table of scale 1"):
        table_sdf(SEED, load_robot("so101"), "file:///meshes")


@pytest.mark.skipif(
    shutil.which("ign") is None, reason="no sdformat (ignition-tools libsdformat-dev)"
)
def test_sdformat_takes_the_world(text, tmp_path):
    path = tmp_path / "world.sdf"
    path.write_text(text)
    done = subprocess.run(["ign", "sdf", "-k", str(path)], capture_output=True, text=True)
    assert done.returncode == 0 and "Valid." in done.stdout, done.stderr[:2000]
