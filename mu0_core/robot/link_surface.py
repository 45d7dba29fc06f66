# SPDX-License-Identifier: Apache-2.0
"""Points on the surface of an arm's links, from the collision shapes of its URDF.

For fitting capsules and for testing that they hold the shapes; no node needs it. Links beside the
chain, such as fingers, count as part of the link on the chain that carries them, at every opening
of the gripper.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.geometry import se3
from mu0_core.robot.description import Joint, RobotDescription, read_urdf_joints
from mu0_core.robot.kinematics import axis_rotation

_OPENINGS = 7
_RIM = 24  # points on the rim of a cylinder
_SPACING_M = 0.004
_TRIANGLE = np.dtype(
    [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("unused", "<u2")]
)  # one of a binary STL file


def link_surfaces(robot: RobotDescription) -> dict[str, np.ndarray]:
    """Return points (K, 3) in the frame of each link of the chain that has a shape.

    Raises:
        ConfigError: a shape is of a kind that is not known, or a mesh cannot be read.
    """
    root = ElementTree.parse(robot.urdf_path).getroot()
    joints = read_urdf_joints(robot.urdf_path)
    chain = {robot.base_frame, *(joint.child for joint in robot.chain)}
    surfaces: dict[str, list[np.ndarray]] = {}
    for link in root.findall("link"):
        name = link.get("name", "")
        shapes = [_shape(c, robot.urdf_path) for c in link.findall("collision")]
        if not shapes:
            continue
        carrier, poses = _carrier(name, joints, chain, robot)
        if carrier:
            points = np.concatenate(shapes)
            surfaces.setdefault(carrier, []).extend(se3.apply(T, points) for T in poses)
    return {name: np.concatenate(parts) for name, parts in surfaces.items()}


def _carrier(
    link: str, joints: dict[str, Joint], chain: set[str], robot: RobotDescription
) -> tuple[str, list[np.ndarray]]:
    """Return the link of the chain that carries a link, and the poses it can have there."""
    poses = [np.eye(4)]
    while link not in chain:
        if link not in joints:
            return "", []
        joint = joints[link]
        poses = [
            joint.origin @ motion @ pose for motion in _motions(joint, robot) for pose in poses
        ]
        link = joint.parent
    return link, poses


def _motions(joint: Joint, robot: RobotDescription) -> list[np.ndarray]:
    """Return what a joint off the chain may do to its child; fingers move alike or mirrored."""
    if joint.kind == "fixed":
        return [np.eye(4)]
    hand = robot.gripper
    ends = np.array([hand.closed_m, hand.open_m]) / hand.opening_per_joint_m
    motions = []
    for value in np.linspace(*ends, _OPENINGS):
        motion = np.eye(4)
        if joint.kind == "prismatic":
            motion[:3, 3] = joint.axis * value
        else:
            motion[:3, :3] = axis_rotation(joint.axis, np.asarray(value))
        motions.append(motion)
    return motions


def _shape(collision: ElementTree.Element, urdf: Path) -> np.ndarray:
    """Return points (K, 3) of one collision element in the link's frame."""
    origin, geometry = collision.find("origin"), collision.find("geometry")
    xyz, rpy = (
        np.array([float(x) for x in (origin.get(key, "0 0 0")).split()])
        if origin is not None
        else np.zeros(3)
        for key in ("xyz", "rpy")
    )
    shape = next(iter(geometry)) if geometry is not None and len(geometry) else None
    if shape is None:
        raise ConfigError(f"{urdf}: a collision element has no geometry")
    if shape.tag == "box":
        size = np.array([float(x) for x in shape.get("size", "").split()])
        points = np.stack(np.meshgrid(*(_across(x) for x in size)), axis=-1).reshape(-1, 3)
    elif shape.tag == "cylinder":
        radius, length = float(shape.get("radius", "")), float(shape.get("length", ""))
        turn = np.linspace(0, 2 * np.pi, _RIM, endpoint=False)
        outside = radius / np.cos(np.pi / _RIM)  # so that the polygon holds the circle
        rim = np.stack([outside * np.cos(turn), outside * np.sin(turn), 0 * turn], axis=1)
        points = np.concatenate([rim + [0, 0, z] for z in _across(length)])
    elif shape.tag == "mesh":
        points = _mesh(urdf.parent / "meshes" / Path(shape.get("filename", "")).name)
    else:
        raise ConfigError(f"{urdf}: shape {shape.tag!r}; known are box, cylinder and mesh")
    return se3.apply(se3.from_rpy(xyz, rpy), points)


def _across(length_m: float) -> np.ndarray:
    """Return coordinates from one side of a shape to the other."""
    return np.linspace(-length_m / 2, length_m / 2, 1 + int(np.ceil(length_m / _SPACING_M)))


def _mesh(path: Path) -> np.ndarray:
    """Return points of a binary STL file, so dense that splitting them loses nothing."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read mesh {path}: {error}") from error
    count = int.from_bytes(data[80:84], "little")
    if len(data) != 84 + count * _TRIANGLE.itemsize:
        raise ConfigError(f"{path}: not a binary STL file")
    corners = np.frombuffer(data, _TRIANGLE, count, 84)["corners"].astype(float)
    return np.unique(np.round(_dense(corners), 5), axis=0)


def _dense(corners: np.ndarray) -> np.ndarray:
    """Return corners (K, 3, 3) and, on triangles longer than the spacing, points in between."""
    points = [corners.reshape(-1, 3)]
    for triangle in corners:
        longest = np.max(np.linalg.norm(np.diff(triangle[[0, 1, 2, 0]], axis=0), axis=1))
        parts = int(np.ceil(longest / _SPACING_M))
        if parts > 1:
            u, v = (x.ravel() / parts for x in np.indices((parts + 1, parts + 1)))
            inside = u + v <= 1.0 + 1e-9
            u, v = u[inside, None], v[inside, None]
            points.append(triangle[0] * (1 - u - v) + triangle[1] * u + triangle[2] * v)
    return np.concatenate(points)
