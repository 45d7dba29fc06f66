# SPDX-License-Identifier: Apache-2.0
"""Which points of a picture are the arm itself: convex hulls of its links, a margin around them.

Hulls contain their links, so an arm never takes itself for an obstacle; what lies within the
margin of it, or in the hollow of a bent link, is not seen as one either.
"""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.geometry import se3
from mu0_core.planning.urdf_shapes import link_hulls, urdf_text
from mu0_core.robot.description import Joint, RobotDescription, read_urdf_joints


class RobotBody:
    """Tells points of an arm from others, for one `RobotDescription`.

    Args:
        robot: the arm; every link of its URDF counts, also those beside the chain.
    """

    def __init__(self, robot: RobotDescription) -> None:
        self._robot = robot
        self._hulls = link_hulls(robot)
        self._joints = read_urdf_joints(robot.urdf_path)
        self._mimics = _mimics(urdf_text(robot))

    def link_frames(self, positions_rad: np.ndarray, gripper_m: float) -> dict[str, np.ndarray]:
        """Return T_base_link (4, 4) of every link for joints (A,) and an opening."""
        robot = self._robot
        values = dict(zip(robot.arm_joints, np.asarray(positions_rad, float)))
        values[robot.gripper.joint] = gripper_m / robot.gripper.opening_per_joint_m
        for name, (leader, factor, offset) in self._mimics.items():
            values[name] = factor * values.get(leader, 0.0) + offset
        known: dict[str, np.ndarray] = {}
        links = {h.link for h in self._hulls} | {robot.base_frame}
        for link in links:
            self._place(link, values, known)
        T_base_root = se3.inverse(known[robot.base_frame])
        return {link: T_base_root @ frame for link, frame in known.items()}

    def _place(
        self, link: str, values: dict[str, float], known: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Return T_root_link (4, 4), and note it with those of its parents."""
        if link not in known:
            joint = self._joints.get(link)
            if joint is None:
                known[link] = np.eye(4)
            else:
                parent = self._place(joint.parent, values, known)
                known[link] = parent @ joint.origin @ _motion(joint, values.get(joint.name, 0.0))
        return known[link]

    def contains(
        self, points_m: np.ndarray, positions_rad: np.ndarray, gripper_m: float, margin_m: float
    ) -> np.ndarray:
        """Return (N,) whether points (N, 3) of the base frame are the arm's.

        Args:
            points_m: in the base frame.
            positions_rad: arm joints (A,).
            gripper_m: opening of the fingers.
            margin_m: points so near to a hull count as the arm's.
        """
        frames = self.link_frames(positions_rad, gripper_m)
        inside = np.zeros(len(points_m), bool)
        for hull in self._hulls:
            local = se3.apply(se3.inverse(frames[hull.link]), points_m)
            low, high = hull.vertices_m.min(axis=0), hull.vertices_m.max(axis=0)
            near = ~inside & np.all((local > low - margin_m) & (local < high + margin_m), axis=1)
            if near.any():
                depth = local[near] @ hull.planes[:, :3].T + hull.planes[:, 3]
                inside[near] = depth.max(axis=1) < margin_m
        return inside


def _motion(joint: Joint, value: float) -> np.ndarray:
    """Return what a joint adds to its origin at a position, as (4, 4)."""
    motion = np.eye(4)
    if joint.kind in ("revolute", "continuous"):
        motion[:3, :3] = Rotation.from_rotvec(joint.axis * value).as_matrix()
    elif joint.kind == "prismatic":
        motion[:3, 3] = joint.axis * value
    return motion


def _mimics(text: str) -> dict[str, tuple[str, float, float]]:
    """Return follower -> (leader, factor, offset)."""
    found = {}
    for joint in ElementTree.fromstring(text).findall("joint"):
        mimic = joint.find("mimic")
        if mimic is not None:
            numbers = float(mimic.get("multiplier", "1")), float(mimic.get("offset", "0"))
            found[joint.get("name", "")] = (mimic.get("joint", ""), *numbers)
    return found
