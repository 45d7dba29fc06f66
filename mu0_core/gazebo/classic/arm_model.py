# SPDX-License-Identifier: Apache-2.0
"""An arm's URDF as a model of SDF 1.6, which Gazebo Classic reads.

Links behind fixed joints become part of the link that carries them, since a fixed joint of ODE
gives way. What is seen is what collides, as in the embedded simulator, and gravity does not act on
the arm. Friction and damping of joints are left out: the servos of the plugin replace them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.errors import ConfigError
from mu0_core.gazebo.classic.rigid_mass import RigidMass
from mu0_core.geometry import se3
from mu0_core.robot.description import RobotDescription, read_urdf_joints
from mu0_core.simulation.simulated_arm import finger_joints, simulated_arm

MODEL = "arm"
ARM_RGB, FINGER_RGB = (0.92, 0.92, 0.93), (0.25, 0.25, 0.27)  # as in the embedded simulator
FINGER_FRICTION = 1.2
_MOVING = {"revolute": "revolute", "continuous": "revolute", "prismatic": "prismatic"}


def arm_model(robot: RobotDescription, meshes: str) -> Element:
    """Return the model of an arm, all joints at 0, its base fixed to the world's origin.

    Args:
        robot: the arm.
        meshes: URI of the folder where Gazebo finds the meshes of the URDF.

    Raises:
        ConfigError: a moving link has no mass, or a joint is of a kind that is not known here.
    """
    return _ArmWriter(robot, meshes).model()


class _ArmWriter:
    def __init__(self, robot: RobotDescription, meshes: str) -> None:
        self._robot, self._meshes = robot, meshes
        self._root = ElementTree.parse(robot.urdf_path).getroot()
        self._joints = read_urdf_joints(robot.urdf_path)
        self._fingers = finger_joints(robot)

    def model(self) -> Element:
        model = Element("model", name=MODEL)
        _leaf(model, "self_collide", "false")
        for element in self._root.findall("link"):
            name = element.get("name", "")
            if self._carrier(name) == name:
                self._add_link(model, name)
        fixed = SubElement(model, "joint", name="base_fixed", type="fixed")
        _leaf(fixed, "parent", "world")
        _leaf(fixed, "child", self._robot.base_frame)
        for element in self._root.findall("joint"):
            if element.get("type") != "fixed":
                self._add_joint(model, element)
        return model

    def _carrier(self, link: str) -> str:
        """Return the link that a link is rigidly part of; itself if a joint moves it."""
        joint = self._joints.get(link)
        return self._carrier(joint.parent) if joint and joint.kind == "fixed" else link

    def _pose(self, link: str) -> np.ndarray:
        """Return T_base_link (4, 4) with all joints at 0."""
        joint = self._joints.get(link)
        return np.eye(4) if joint is None else self._pose(joint.parent) @ joint.origin

    def _parts(self, carrier: str) -> Iterator[tuple[Element, np.ndarray]]:
        """Yield the URDF links that make up one link of SDF, and T_carrier_link (4, 4)."""
        for element in self._root.findall("link"):
            name = element.get("name", "")
            if self._carrier(name) == carrier:
                yield element, se3.inverse(self._pose(carrier)) @ self._pose(name)

    def _add_link(self, model: Element, name: str) -> None:
        link = SubElement(model, "link", name=name)
        _leaf(link, "pose", _pose_numbers(self._pose(name)))
        _leaf(link, "gravity", "false")
        parts = list(self._parts(name))
        mass = RigidMass.sum([RigidMass.of_urdf(element, T) for element, T in parts])
        if mass.mass_kg <= 0:
            raise ConfigError(f"{self._robot.urdf_path.name}: moving link {name!r} has no mass")
        link.append(mass.to_sdf())
        joint = self._joints.get(name)
        finger = joint is not None and joint.name in self._fingers
        finger |= name in simulated_arm(self._robot).finger_links
        shapes = [(shape, T) for element, T in parts for shape in element.findall("collision")]
        for index, (shape, T_link_part) in enumerate(shapes):
            origin = shape.find("origin")
            T_part_shape = np.eye(4) if origin is None else _origin(origin)
            for kind in ("collision", "visual"):
                part = SubElement(link, kind, name=f"{name}_{kind}_{index}")
                _leaf(part, "pose", _pose_numbers(T_link_part @ T_part_shape))
                self._add_geometry(part, shape)
                _finish(part, kind, finger)

    def _add_geometry(self, part: Element, shape: Element) -> None:
        geometry = SubElement(part, "geometry")
        given = shape.find("geometry/*")
        if given.tag == "mesh":
            mesh = SubElement(geometry, "mesh")
            _leaf(mesh, "uri", f"{self._meshes}/{Path(given.get('filename', '')).name}")
            _leaf(mesh, "scale", given.get("scale", "1 1 1"))
            return
        own = SubElement(geometry, given.tag)
        for key, value in given.attrib.items():
            _leaf(own, key, value)

    def _add_joint(self, model: Element, element: Element) -> None:
        name, kind = element.get("name", ""), element.get("type", "")
        if kind not in _MOVING:
            raise ConfigError(f"joint {name!r} is {kind!r}; known: fixed, {', '.join(_MOVING)}")
        joint = SubElement(model, "joint", name=name, type=_MOVING[kind])
        child = element.find("child").get("link", "")
        _leaf(joint, "parent", self._carrier(element.find("parent").get("link", "")))
        _leaf(joint, "child", child)
        axis, limit = SubElement(joint, "axis"), element.find("limit")
        _leaf(axis, "xyz", self._joints[child].axis)
        if kind != "continuous":
            bounds = SubElement(axis, "limit")
            for key in ("lower", "upper"):
                _leaf(bounds, key, limit.get(key, "0"))


def effort(robot: RobotDescription, joint: str) -> float:
    """Return the largest force of a joint, N or N m, that the URDF allows.

    Raises:
        ConfigError: the URDF names none.
    """
    root = ElementTree.parse(robot.urdf_path).getroot()
    limit = root.find(f"joint[@name='{joint}']/limit")
    if limit is None or float(limit.get("effort", 0)) <= 0:
        raise ConfigError(f"{robot.urdf_path.name}: joint {joint!r} has no effort limit")
    return float(limit.get("effort"))


def _finish(part: Element, kind: str, finger: bool) -> None:
    """Add the friction of a collision or the colour of a visual."""
    if kind == "visual":
        material = SubElement(part, "material")
        for key in ("ambient", "diffuse"):
            _leaf(material, key, (*(FINGER_RGB if finger else ARM_RGB), 1))
        _leaf(material, "specular", (0, 0, 0, 1))
    elif finger:
        surface = SubElement(part, "surface")
        contact = SubElement(SubElement(surface, "friction"), "ode")
        _leaf(contact, "mu", FINGER_FRICTION)
        _leaf(contact, "mu2", FINGER_FRICTION)


def _origin(element: Element) -> np.ndarray:
    xyz, rpy = (
        np.array([float(x) for x in element.get(key, "0 0 0").split()]) for key in ("xyz", "rpy")
    )
    return se3.from_rpy(xyz, rpy)


def _pose_numbers(transform: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # at gimbal lock one answer is as good
        rpy = Rotation.from_matrix(transform[:3, :3]).as_euler("xyz")
    return np.concatenate([transform[:3, 3], rpy])


def _leaf(parent: Element, tag: str, value: object) -> None:
    if not isinstance(value, str):
        value = " ".join(f"{x:.9g}" for x in np.atleast_1d(np.asarray(value, dtype=float)))
    SubElement(parent, tag).text = value
