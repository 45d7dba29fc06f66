# SPDX-License-Identifier: Apache-2.0
"""Collision shapes of a URDF: as text with absolute mesh paths, and as convex hulls."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from scipy.spatial import ConvexHull

from mu0_core.errors import ConfigError
from mu0_core.geometry import se3
from mu0_core.paths import ASSETS
from mu0_core.robot.description import RobotDescription

_OURS = "package://mu0/"
_ROUNDING_RAD = 1e-6
_SIDES = 16  # of the prism around a cylinder


@dataclass(frozen=True, slots=True)
class LinkHull:
    """The convex hull of one collision shape of a link.

    Attributes:
        link: name.
        planes: (P, 4) of the link's frame: normal . x + offset <= 0 inside.
        vertices_m: (V, 3) in the link's frame.
    """

    link: str
    planes: np.ndarray
    vertices_m: np.ndarray


def urdf_text(robot: RobotDescription) -> str:
    """Return the URDF with our own meshes at absolute paths; others must be absolute already.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return robot.urdf_path.read_text().replace(_OURS, f"{ASSETS}/")
    except OSError as error:
        raise ConfigError(f"cannot read URDF {robot.urdf_path}: {error}") from error


def limited_urdf_text(robot: RobotDescription) -> str:
    """Return the URDF with the position limits of the description in place of its own.

    Raises:
        ConfigError: the file cannot be read.
    """
    root = ElementTree.fromstring(urdf_text(robot))
    limits = dict(zip(robot.arm_joints, zip(robot.limits.lower_rad, robot.limits.upper_rad)))
    for joint in root.findall("joint"):
        limit = joint.find("limit")
        if joint.get("name") in limits and limit is not None:
            low, high = limits[joint.get("name")]
            limit.set("lower", repr(float(low) - _ROUNDING_RAD))
            limit.set("upper", repr(float(high) + _ROUNDING_RAD))
    return ElementTree.tostring(root, encoding="unicode")


def link_hulls(robot: RobotDescription) -> list[LinkHull]:
    """Return the convex hulls of all collision shapes of an arm.

    A concave mesh is filled up, so that a hull contains its link.

    Raises:
        ConfigError: a link has a shape or a mesh that cannot be read, or none has any.
    """
    hulls = []
    for link in ElementTree.fromstring(urdf_text(robot)).findall("link"):
        for element in link.findall("collision"):
            vertices = _vertices(element, link.get("name", ""))
            hull = ConvexHull(vertices)
            planes = np.unique(hull.equations.round(9), axis=0)
            hulls.append(LinkHull(link.get("name", ""), planes, vertices[hull.vertices]))
    if not hulls:
        raise ConfigError(f"{robot.urdf_path} has no collision shapes: planning needs them")
    return hulls


def _vertices(collision: ElementTree.Element, link: str) -> np.ndarray:
    """Return points (V, 3) in the link's frame whose hull contains a collision shape."""
    origin = collision.find("origin")
    xyz, rpy = (
        [float(x) for x in (origin.get(key, "0 0 0") if origin is not None else "0 0 0").split()]
        for key in ("xyz", "rpy")
    )
    shape = next(iter(collision.find("geometry")), None)
    kind = "nothing" if shape is None else shape.tag
    if kind == "box":
        half = np.array([float(x) for x in shape.get("size", "").split()]) / 2
        points = half * np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    elif kind in ("cylinder", "capsule"):
        points = _prism(float(shape.get("radius")), float(shape.get("length")), kind == "capsule")
    elif kind == "sphere":
        points = _prism(float(shape.get("radius")), 0.0, True)
    elif kind == "mesh":
        scale = [float(x) for x in shape.get("scale", "1 1 1").split()]
        points = stl_vertices(Path(shape.get("filename", "").removeprefix("file://"))) * scale
    else:
        raise ConfigError(f"link {link}: collision shape {kind!r} is not known")
    return se3.apply(se3.from_rpy(np.array(xyz), np.array(rpy)), points)


def _prism(radius: float, length: float, round_ends: bool) -> np.ndarray:
    """Return corners of a prism around a cylinder along z; with round ends also around those."""
    angle = np.arange(_SIDES) * 2 * np.pi / _SIDES
    outer = radius / np.cos(np.pi / _SIDES)
    half = length / 2 + (radius if round_ends else 0.0)
    ring = np.stack([outer * np.cos(angle), outer * np.sin(angle)], axis=1)
    return np.concatenate([np.column_stack([ring, np.full(_SIDES, z)]) for z in (-half, half)])


def stl_vertices(path: Path) -> np.ndarray:
    """Return the corners (V, 3) of a binary STL.

    Raises:
        ConfigError: missing, of another format, or shorter than it says.
    """
    try:
        data = path.read_bytes()
        (count,) = struct.unpack("<I", data[80:84])
        faces = np.frombuffer(data, "(3,)<f4,(3,3)<f4,<u2", count, 84)["f1"]
    except (OSError, struct.error, ValueError) as error:
        raise ConfigError(f"cannot read binary STL {path}: {error}") from error
    return np.unique(faces.reshape(-1, 3).astype(float), axis=0)
