# SPDX-License-Identifier: Apache-2.0
"""Writes the table of the embedded simulator as an SDF world, from its own MuJoCo model.

Sizes, masses, colours and places are read from the model and the layout of a seed, so the two
cannot differ. SDF 1.9, which Harmonic reads; the arm is not in it, it is spawned from its URDF.
Gazebo takes the smaller friction of two touching things, MuJoCo the larger: cubes get the fingers'
friction, the table keeps its own, and both pairs are as in MuJoCo.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.gazebo.world_file import CAMERA_MODEL, OPTICAL_FRAME, pose_of_optical
from mu0_core.robot.description import load_robot
from mu0_core.simulation.layout import Layout, sample_layout
from mu0_core.simulation.viewpoint import look_at

WORLD = "mu0_table"
CAMERA_TOPIC = "scene_camera"
CAMERA_RATE_HZ = 10
WIDTH, HEIGHT = 640, 480
_LEAST_KG, _LEAST_KG_M2 = 0.05, 1e-6  # the fixed housing has neither mass nor inertia
_SYSTEMS = {  # file name of Harmonic -> name of the system
    "gz-sim-physics-system": "gz::sim::systems::Physics",
    "gz-sim-user-commands-system": "gz::sim::systems::UserCommands",
    "gz-sim-scene-broadcaster-system": "gz::sim::systems::SceneBroadcaster",
    "gz-sim-sensors-system": "gz::sim::systems::Sensors",
}


def table_world(seed: int) -> str:
    """Return the SDF of the scene of a seed.

    Raises:
        ImportError: mujoco is not installed (pip extra ``sim``).
    """
    from mu0_core.simulation import scene

    layout, model = sample_layout(seed), scene.build_model(load_robot("fr3"))
    scene.dress(model, layout)
    root = Element("sdf", version="1.9")
    world = SubElement(root, "world", name=WORLD)
    physics = SubElement(world, "physics", name="as_embedded", type="dart")
    _leaf(physics, "max_step_size", scene.PHYSICS_STEP_S)
    _leaf(physics, "real_time_factor", 1)
    for file, name in _SYSTEMS.items():
        system = SubElement(world, "plugin", filename=file, name=name)
        if "sensors" in file:
            _leaf(system, "render_engine", "ogre2")
    look = SubElement(world, "scene")
    _leaf(look, "ambient", (0.6, 0.6, 0.6, 1))
    _leaf(look, "background", (0.3, 0.3, 0.3, 1))
    _leaf(look, "shadows", "false")
    _add_lamp(world, layout)
    writer = _BodyWriter(scene.mujoco, model)
    writer.add_fixture(world, "table", ["table"], (0, 0, 0))
    writer.add_fixture(world, "floor", ["floor"], (0, 0, 0))
    for k, name in enumerate(scene.CUBES):
        xyz = (*layout.cube_xy_m[k], layout.cube_half_m[k] + 0.001)
        writer.add_thing(world, name, xyz, float(layout.cube_yaw_rad[k]), slippery=False)
    writer.add_thing(world, "bowl", (*layout.bowl_xy_m, 0.001))
    height = scene.PLATE_HALF_HEIGHT_M + 0.001
    writer.add_thing(world, "plate", (*layout.plate_xy_m, height))
    writer.add_button(world, (*layout.button_xy_m, 0.0))
    _add_camera(world, layout)
    ElementTree.indent(root)
    head = f"<!-- Written by scripts/write_gazebo_world.py (seed {seed}); do not edit. -->"
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0"?>\n{head}\n{text}\n'


class _BodyWriter:
    """Turns bodies of a MuJoCo model into SDF models."""

    def __init__(self, mujoco: Any, model: Any) -> None:
        self._mujoco, self._model = mujoco, model
        self._grip = float(model.geom_friction[:, 0].max())  # of the fingers

    def add_fixture(
        self, world: Element, name: str, geoms: list[str], xyz: Iterable[float]
    ) -> None:
        """Add a static model of geoms that belong to the world itself."""
        model = self._model_element(world, name, xyz)
        _leaf(model, "static", "true")
        link = SubElement(model, "link", name="link")
        for geom in geoms:
            self._add_geom(link, self._model.geom(geom).id)

    def add_thing(
        self,
        world: Element,
        name: str,
        xyz: Iterable[float],
        yaw_rad: float = 0.0,
        *,
        slippery: bool = True,
    ) -> None:
        """Add a free body."""
        model = self._model_element(world, name, xyz, yaw_rad)
        self._add_link(model, name, "link", None if slippery else self._grip)

    def add_button(self, world: Element, xyz: Iterable[float]) -> None:
        """Add the housing, fixed, and the cap on its spring."""
        model = self._model_element(world, "button", xyz)
        self._add_link(model, "button", "housing")
        fixed = SubElement(model, "joint", name="button_fixed", type="fixed")
        _leaf(fixed, "parent", "world")
        _leaf(fixed, "child", "housing")
        _leaf(self._add_link(model, "button_cap", "cap"), "gravity", "false")
        slide = self._model.joint("button_slide")
        joint = SubElement(model, "joint", name="button_slide", type="prismatic")
        _leaf(joint, "parent", "housing")
        _leaf(joint, "child", "cap")
        axis = SubElement(joint, "axis")
        _leaf(axis, "xyz", slide.axis)
        limit = SubElement(axis, "limit")
        _leaf(limit, "lower", slide.range[0])
        _leaf(limit, "upper", slide.range[1])
        dynamics = SubElement(axis, "dynamics")
        _leaf(dynamics, "damping", self._model.dof_damping[slide.dofadr[0]])
        _leaf(dynamics, "spring_stiffness", np.ravel(slide.stiffness)[0])

    def _model_element(
        self, world: Element, name: str, xyz: Iterable[float], yaw_rad: float = 0.0
    ) -> Element:
        model = SubElement(world, "model", name=name)
        _leaf(model, "pose", (*xyz, 0, 0, yaw_rad))
        return model

    def _add_link(
        self, model: Element, body: str, name: str, friction: float | None = None
    ) -> Element:
        source = self._model.body(body)
        link = SubElement(model, "link", name=name)
        inertial = SubElement(link, "inertial")
        _leaf(inertial, "pose", (*source.ipos, 0, 0, 0))
        _leaf(inertial, "mass", max(source.mass[0], _LEAST_KG))
        turn = _rotation(source.iquat).as_matrix()
        matrix = turn @ np.diag(np.maximum(source.inertia, _LEAST_KG_M2)) @ turn.T
        inertia = SubElement(inertial, "inertia")
        for row, column in ("xx", "xy", "xz", "yy", "yz", "zz"):
            value = matrix["xyz".index(row), "xyz".index(column)]
            _leaf(inertia, f"i{row}{column}", value)
        for geom in range(source.geomadr[0], source.geomadr[0] + source.geomnum[0]):
            self._add_geom(link, geom, friction)
        return link

    def _add_geom(self, link: Element, index: int, friction: float | None = None) -> None:
        from mu0_core.simulation import scene

        model = self._model
        name = model.geom(index).name
        unlit = scene.BUTTON_DARK_RGB if name == "button_housing" else model.geom_rgba[index, :3]
        colour = (*unlit, 1)
        pose = (*model.geom_pos[index], *_rpy(model.geom_quat[index]))
        collides = bool(model.geom_contype[index] | model.geom_conaffinity[index])
        for kind in ("collision", "visual") if collides else ("visual",):
            part = SubElement(link, kind, name=f"{name}_{kind}")  # one name space
            _leaf(part, "pose", pose)
            self._add_shape(SubElement(part, "geometry"), index)
            if kind == "visual":
                material = SubElement(part, "material")
                _leaf(material, "ambient", colour)
                _leaf(material, "diffuse", colour)
            else:
                mu = model.geom_friction[index, 0] if friction is None else friction
                contact = SubElement(SubElement(SubElement(part, "surface"), "friction"), "ode")
                _leaf(contact, "mu", mu)
                _leaf(contact, "mu2", mu)

    def _add_shape(self, geometry: Element, index: int) -> None:
        kinds, size = self._mujoco.mjtGeom, self._model.geom_size[index]
        kind = self._model.geom_type[index]
        if kind == kinds.mjGEOM_BOX:
            _leaf(SubElement(geometry, "box"), "size", 2 * size)
        elif kind == kinds.mjGEOM_CYLINDER:
            cylinder = SubElement(geometry, "cylinder")
            _leaf(cylinder, "radius", size[0])
            _leaf(cylinder, "length", 2 * size[1])
        elif kind == kinds.mjGEOM_PLANE:
            plane = SubElement(geometry, "plane")
            _leaf(plane, "normal", (0, 0, 1))
            _leaf(plane, "size", 2 * size[:2])
        else:
            raise ValueError(f"no SDF shape for geom {self._model.geom(index).name!r}")


def _add_lamp(world: Element, layout: Layout) -> None:
    light = SubElement(world, "light", name="lamp", type="directional")
    _leaf(light, "pose", (0.6, 0, 1.8, 0, 0, 0))
    _leaf(light, "cast_shadows", "false")
    _leaf(light, "diffuse", (*layout.lamp_rgb, 1))
    direction = layout.lamp_direction / np.linalg.norm(layout.lamp_direction)
    _leaf(light, "direction", direction)


def _add_camera(world: Element, layout: Layout) -> None:
    """Add the RGB-D camera; registered by construction, as both images have one pose."""
    pose = pose_of_optical(look_at(layout.camera_position_m, layout.camera_target_m))
    model = SubElement(world, "model", name=CAMERA_MODEL)
    _leaf(model, "pose", pose)
    _leaf(model, "static", "true")
    sensor = SubElement(
        SubElement(model, "link", name="link"), "sensor", name="rgbd", type="rgbd_camera"
    )
    _leaf(sensor, "topic", CAMERA_TOPIC)
    _leaf(sensor, "update_rate", CAMERA_RATE_HZ)
    _leaf(sensor, "always_on", "true")
    _leaf(sensor, "gz_frame_id", OPTICAL_FRAME)
    camera = SubElement(sensor, "camera")
    half = np.tan(np.radians(layout.camera_fovy_deg) / 2) * WIDTH / HEIGHT
    _leaf(camera, "horizontal_fov", 2 * np.arctan(half))
    image = SubElement(camera, "image")
    _leaf(image, "width", WIDTH)
    _leaf(image, "height", HEIGHT)
    _leaf(image, "format", "R8G8B8")
    clip = SubElement(camera, "clip")
    _leaf(clip, "near", 0.05)
    _leaf(clip, "far", 10)
    _leaf(camera, "optical_frame_id", OPTICAL_FRAME)


def _rotation(quat_wxyz: np.ndarray) -> Rotation:
    w, x, y, z = quat_wxyz
    return Rotation.from_quat([x, y, z, w])


def _rpy(quat_wxyz: np.ndarray) -> np.ndarray:
    return _rotation(quat_wxyz).as_euler("xyz")


def _leaf(parent: Element, tag: str, value: object) -> None:
    """Add an element with a text; numbers have six digits, noise is 0."""
    if not isinstance(value, str):
        value = " ".join(map(_number, np.atleast_1d(np.asarray(value, dtype=float))))
    SubElement(parent, tag).text = value


def _number(value: float) -> str:
    return f"{value:.6g}" if abs(value) > 1e-9 else "0"
