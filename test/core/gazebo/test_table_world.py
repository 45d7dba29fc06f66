# SPDX-License-Identifier: Apache-2.0
"""config/gazebo/table.sdf is the embedded simulator's scene: things, sizes, places, camera."""

import os
import shutil
import subprocess
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("mujoco")
os.environ.setdefault("MUJOCO_GL", "egl")

from mu0_core.errors import ConfigError
from mu0_core.gazebo import table_world as source
from mu0_core.gazebo.world_file import OPTICAL_FRAME, camera_pose, pose_of_optical
from mu0_core.geometry import se3
from mu0_core.paths import config_file
from mu0_core.simulation import scene
from mu0_core.simulation.layout import FIRST_EVALUATION_SEED
from mu0_core.simulation.viewpoint import look_at
from mu0_core.simulation.world import TableWorld

SHIPPED = config_file("gazebo/table.sdf")
HARMONIC = {  # library names of gz-sim 8 on Jazzy
    "gz-sim-physics-system",
    "gz-sim-user-commands-system",
    "gz-sim-scene-broadcaster-system",
    "gz-sim-sensors-system",
}


@pytest.fixture(scope="module")
def world():
    return ElementTree.parse(SHIPPED).getroot().find("world")


@pytest.fixture(scope="module")
def embedded():
    made = TableWorld()
    made.reset(FIRST_EVALUATION_SEED)
    yield made
    made.close()


def numbers(element, path):
    return np.array([float(word) for word in element.findtext(path).split()])


def model(world, name):
    return world.find(f"model[@name='{name}']")


def test_the_shipped_world_is_what_the_scene_gives_today():
    again = source.table_world(FIRST_EVALUATION_SEED)
    assert SHIPPED.read_text() == again, "stale: run python scripts/write_gazebo_world.py"


def test_it_holds_the_things_of_the_tasks_and_nothing_else(world):
    names = {m.get("name") for m in world.findall("model")}
    assert names == {*scene.CUBES, "table", "floor", "bowl", "plate", "button", "scene_camera"}


def test_sizes_are_those_of_the_scene(world, embedded):
    for k, name in enumerate(scene.CUBES):
        box = numbers(model(world, name), "link/collision/geometry/box/size")
        np.testing.assert_allclose(box, 2 * embedded.layout.cube_half_m[k], atol=1e-6)
    plate = model(world, "plate").find("link/collision/geometry/cylinder")
    assert numbers(plate, "radius") == scene.PLATE_RADIUS_M
    assert numbers(plate, "length") == 2 * scene.PLATE_HALF_HEIGHT_M
    cap = model(world, "button").find("link[@name='cap']/collision/geometry/cylinder")
    assert numbers(cap, "radius") == scene.BUTTON_CAP_RADIUS_M
    limit = model(world, "button").find("joint[@name='button_slide']/axis/limit")
    assert numbers(limit, "lower") == -scene.BUTTON_TRAVEL_M and numbers(limit, "upper") == 0
    walls = model(world, "bowl").findall("link/collision")
    reach = [np.hypot(*numbers(wall, "pose")[:2]) for wall in walls if "wall" in wall.get("name")]
    assert len(reach) == 16
    np.testing.assert_allclose(reach, scene.BOWL_RADIUS_M, atol=1e-6)


@pytest.mark.parametrize("name", [*scene.CUBES, "bowl", "plate", "button"])
def test_things_lie_where_they_come_to_rest_in_the_embedded_simulator(world, embedded, name):
    pose, truth = numbers(model(world, name), "pose"), embedded.body_pose(name)
    np.testing.assert_allclose(pose[:3], truth[:3, 3], atol=2e-3)
    np.testing.assert_allclose(se3.from_rpy(np.zeros(3), pose[3:])[:3, :3], truth[:3, :3],
                               atol=0.02)  # fmt: skip


def test_the_cap_stands_on_the_housing_at_the_height_that_tasks_use(world):
    cap = model(world, "button").find("link[@name='cap']/collision")
    top = numbers(cap, "pose")[2] + numbers(cap, "geometry/cylinder/length")[0] / 2
    assert top == pytest.approx(scene.BUTTON_TOP_M)


def test_the_camera_sees_what_the_embedded_camera_sees(world, embedded):
    np.testing.assert_allclose(camera_pose(SHIPPED), embedded.T_base_camera, atol=1e-5)
    camera = model(world, "scene_camera").find("link/sensor/camera")
    size = numbers(camera, "image/width")[0], numbers(camera, "image/height")[0]
    assert size == (embedded.width, embedded.height)
    focal = size[0] / 2 / np.tan(numbers(camera, "horizontal_fov")[0] / 2)
    assert focal == pytest.approx(embedded.intrinsics.fx, rel=1e-5)
    assert camera.findtext("optical_frame_id") == OPTICAL_FRAME


def test_systems_carry_the_file_names_of_harmonic(world):
    assert {plugin.get("filename") for plugin in world.findall("plugin")} == HARMONIC
    assert all(p.get("name").startswith("gz::sim::systems::") for p in world.findall("plugin"))
    assert "ignition" not in SHIPPED.read_text()
    assert ElementTree.parse(SHIPPED).getroot().get("version") == "1.9"


def test_no_two_children_of_an_element_have_one_name(world):
    """SDF refuses a collision and a visual of one name, too."""
    for parent in world.iter():
        names = [child.get("name") for child in parent if child.get("name")]
        assert len(names) == len(set(names)), parent.get("name")


@pytest.mark.skipif(
    shutil.which("ign") is None, reason="no sdformat (ignition-tools libsdformat-dev)"
)
def test_sdformat_takes_the_world():
    done = subprocess.run(["ign", "sdf", "-k", str(SHIPPED)], capture_output=True, text=True)
    assert done.returncode == 0 and "Valid." in done.stdout, done.stderr[:2000]


def test_every_free_link_has_a_mass_and_a_positive_inertia(world):
    for inertial in world.iter("inertial"):
        value = {e.tag: float(e.text) for e in inertial.find("inertia")}
        matrix = [[value["i" + "".join(sorted(a + b))] for a in "xyz"] for b in "xyz"]
        assert float(inertial.findtext("mass")) > 0
        eigenvalues = np.linalg.eigvalsh(matrix)
        assert eigenvalues[0] > 0
        assert eigenvalues[2] <= eigenvalues[0] + eigenvalues[1] + 1e-9  # of a real body


@pytest.mark.parametrize("seed", range(4))
def test_a_camera_pose_survives_the_way_through_sdf(tmp_path, seed):
    rng = np.random.default_rng(seed)
    pose = look_at(rng.uniform(0.5, 1.5, 3), rng.uniform(-0.3, 0.3, 3))
    text = " ".join(map(str, pose_of_optical(pose)))
    path = tmp_path / "own.sdf"
    path.write_text(
        f"<sdf><world><model name='scene_camera'><pose>{text}</pose></model></world></sdf>"
    )
    np.testing.assert_allclose(camera_pose(path), pose, atol=1e-9)


def test_a_world_without_the_camera_is_refused(tmp_path):
    path = tmp_path / "own.sdf"
    path.write_text("<sdf><world/></sdf>")
    with pytest.raises(ConfigError, match="no model 'scene_camera'"):
        camera_pose(path)
    path.write_text("<sdf>")
    with pytest.raises(ConfigError, match="cannot read world"):
        camera_pose(path)


def test_another_seed_gives_another_world():
    assert source.table_world(50_001) != SHIPPED.read_text()
