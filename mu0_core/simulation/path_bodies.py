# SPDX-License-Identifier: Apache-2.0
"""Poses of all bodies of a world along an imagined path, by kinematics alone."""

from __future__ import annotations

import numpy as np

from mu0_core.robot.description import Joint, read_urdf_joints
from mu0_core.robot.kinematics import Kinematics, axis_rotation
from mu0_core.simulation import scene
from mu0_core.simulation.posture import posture_table
from mu0_core.simulation.shadow_table import ShadowPath
from mu0_core.simulation.simulated_arm import finger_joints
from mu0_core.simulation.table_view import opening_of, tips_of
from mu0_core.simulation.world import TableWorld


class PathBodies:
    """Poses of all bodies of a world along an imagined path."""

    def __init__(self, world: TableWorld) -> None:
        self._robot, self._frame = world.robot, world.table_frame
        self._kinematics = Kinematics(world.robot)
        self._postures = posture_table(world.robot)
        names = [world.body_name(k) for k in range(len(world.body_poses()))]
        links = set(self._kinematics.link_frames(world.robot.home_rad))
        self._links = [(k, name) for k, name in enumerate(names) if name in links]
        own = finger_joints(world.robot)
        joints = [j for j in read_urdf_joints(world.robot.urdf_path).values() if j.name in own]
        self._fingers = [(names.index(joint.child), joint) for joint in joints]
        self._cubes = [names.index(name) for name in scene.CUBES]

    def joints(self, centre_m: np.ndarray, gap_m: np.ndarray | float) -> np.ndarray:
        """Return joints (..., A) of middles between the fingers (..., 3), NaN out of reach.

        Args:
            centre_m: (..., 3) and gap_m: (...,) between the fingers, both in the table frame.
        """
        gap = np.asarray(gap_m, float)
        return self._postures(tips_of(centre_m, gap, self._frame, self._robot.gripper))

    def poses(self, path: ShadowPath, now: np.ndarray) -> np.ndarray:
        """Return T_base_body (K + 1, bodies, 4, 4); ``now`` (bodies, 4, 4) is where they stand."""
        poses = np.repeat(now[None], len(path.tip_m), axis=0)
        frames = self._kinematics.link_frames(self.joints(path.tip_m, path.opening_m))
        for index, name in self._links:
            poses[:, index] = frames[name]
        for index, joint in self._fingers:
            if joint.kind == "prismatic":
                self._slide(poses[:, index], path)
            else:
                poses[:, index] = self._turned(joint, frames[joint.parent], path)
        turn = path.yaw_rad - path.yaw_rad[0]
        for cube, index in enumerate(self._cubes):
            cosine, sine = np.cos(turn[:, cube]), np.sin(turn[:, cube])
            rotation = np.zeros((len(turn), 3, 3))
            rotation[:, 0, 0] = rotation[:, 1, 1] = cosine
            rotation[:, 0, 1], rotation[:, 1, 0], rotation[:, 2, 2] = -sine, sine, 1.0
            poses[:, index, :3, :3] = rotation @ now[index, :3, :3]
            poses[:, index, :3, 3] = self._frame.to_base(path.cubes_m[:, cube])
        return poses

    def _slide(self, poses: np.ndarray, path: ShadowPath) -> None:
        """Move a finger (K + 1, 4, 4), one of two, along its own y."""
        moved = self._frame.scale * (path.tip_m - path.tip_m[0])
        wider = self._frame.scale * (path.opening_m - path.opening_m[0])[:, None] / 2
        poses[:, :3, 3] += moved + wider * poses[0, :3, 1]

    def _turned(self, joint: Joint, parents: np.ndarray, path: ShadowPath) -> np.ndarray:
        """Return a jaw (K + 1, 4, 4) that turns on links (K + 1, 4, 4)."""
        gripper = self._robot.gripper
        openings = np.array([opening_of(gap, self._frame, gripper) for gap in path.opening_m])
        motion = np.tile(np.eye(4), (len(openings), 1, 1))
        motion[:, :3, :3] = axis_rotation(joint.axis, openings / gripper.opening_per_joint_m)
        return parents @ joint.origin @ motion
