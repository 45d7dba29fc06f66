# SPDX-License-Identifier: Apache-2.0
"""Which bodies touch, and how near they are: pinocchio and coal on the URDF and SRDF of one arm.

Links that do not move with the arm's joints never touch obstacles: they stand where they stand.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np

from mu0_core.errors import ConfigError, PlannerUnavailableError
from mu0_core.planning.scene import POINTS, PlanningScene
from mu0_core.planning.urdf_shapes import urdf_text
from mu0_core.robot.description import RobotDescription

MISSING = "planner roboplan needs the extra 'planning': pip install 'mu0-ros[planning]'"


def import_pinocchio() -> tuple[Any, Any]:
    """Return the modules pinocchio and coal.

    Raises:
        PlannerUnavailableError: they are not installed; names the extra.
    """
    try:
        import coal
        import pinocchio
    except ImportError as error:
        raise PlannerUnavailableError(f"{MISSING} ({error})") from error
    return pinocchio, coal


def srdf_text(robot: RobotDescription) -> str:
    """Return the SRDF that lies beside the URDF.

    Raises:
        ConfigError: there is none, or it is no SRDF; says how to write one.
    """
    path = robot.urdf_path.with_suffix(".srdf")
    how = f"write it with scripts/write_srdf.py {robot.name}"
    if not path.is_file():
        raise ConfigError(f"no SRDF {path} says which links may touch: {how}")
    text = path.read_text()
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ConfigError(f"{path} is not XML: {error}; {how}") from error
    if root.tag != "robot":
        raise ConfigError(f"{path} begins with <{root.tag}>, expected <robot>; {how}")
    return text


class CollisionModel:
    """Collisions of one arm with itself and with a scene.

    Args:
        robot: the arm.
        srdf: which pairs of links may touch; None = the file beside the URDF, "" = none may.
    """

    def __init__(self, robot: RobotDescription, srdf: str | None = None) -> None:
        self._pin, self._coal = import_pinocchio()
        pin, text = self._pin, urdf_text(robot)
        self.robot = robot
        self.model = pin.buildModelFromXML(text, mimic=True)
        self._links = pin.buildGeomFromUrdfString(self.model, text, pin.GeometryType.COLLISION)
        self._own = self._links.ngeoms
        if self._own == 0:
            raise ConfigError(f"{robot.urdf_path} has no collision shapes: planning needs them")
        self._links.addAllCollisionPairs()
        srdf = srdf_text(robot) if srdf is None else srdf
        if srdf:
            pin.removeCollisionPairsFromXML(self.model, self._links, srdf, False)
        self._data = self.model.createData()
        self._columns = [self._column(name) for name in robot.arm_joints]
        self._finger = self._column(robot.gripper.joint)
        self._neutral = pin.neutral(self.model)
        self.T_root_base = self._frame(robot.base_frame)
        self._link_of = [
            self.model.frames[g.parentFrame].name for g in self._links.geometryObjects
        ]
        self._moving = self._moving_shapes()
        self.set_scene(PlanningScene())

    def _column(self, joint: str) -> int:
        return self.model.joints[self.model.getJointId(joint)].idx_q

    def _frame(self, link: str) -> np.ndarray:
        pin = self._pin
        pin.framesForwardKinematics(self.model, self._data, self._neutral)
        return self._data.oMf[self.model.getFrameId(link)].homogeneous

    def _moving_shapes(self) -> list[int]:
        """Return the shapes that an arm joint moves."""
        arm = {self.model.getJointId(name) for name in self.robot.arm_joints}
        self._arm_above = [set(self.model.supports[k]) & arm for k in range(self.model.njoints)]
        shapes = self._links.geometryObjects
        return [k for k in range(self._own) if self._arm_above[shapes[k].parentJoint]]

    # -- scene -----------------------------------------------------------------------------------

    def set_scene(self, scene: PlanningScene) -> None:
        """Take the obstacles and the opening of a scene."""
        pin, coal = self._pin, self._coal
        self._scene, self._geometry = scene, self._links.copy()
        self._names = list(self._link_of)
        for box in scene.boxes:
            self._add(box.name, coal.Box(*box.size_m), box.T_base_box)
        if len(scene.points_m):
            self._add(POINTS, self._octree(scene), np.eye(4))
        self._results = pin.GeometryData(self._geometry)
        gripper = self.robot.gripper
        opening = gripper.open_m if scene.gripper_m is None else scene.gripper_m
        self._neutral[self._finger] = (
            np.clip(opening, gripper.closed_m, gripper.open_m) / gripper.opening_per_joint_m
        )
        self._hulls = None

    def _octree(self, scene: PlanningScene) -> Any:
        return self._coal.makeOctree(np.ascontiguousarray(scene.points_m), scene.voxel_m)

    def _add(self, name: str, shape: Any, T_base_shape: np.ndarray) -> None:
        pin = self._pin
        placement = pin.SE3(self.T_root_base @ T_base_shape)
        added = self._geometry.addGeometryObject(
            pin.GeometryObject(f"obstacle {name}", 0, 0, placement, shape)
        )
        self._names.append(name)
        for k in self._moving:
            self._geometry.addCollisionPair(pin.CollisionPair(k, added))

    # -- questions -------------------------------------------------------------------------------

    def full(self, positions_rad: np.ndarray) -> np.ndarray:
        """Return the model's configuration (nq,) of arm joints (A,) and the scene's opening."""
        q = self._neutral.copy()
        q[self._columns] = positions_rad
        return q

    def touching(self, positions_rad: np.ndarray) -> tuple[str, str] | None:
        """Return two bodies that touch at arm joints (A,), or None."""
        q = self.full(positions_rad)
        if not self._pin.computeCollisions(
            self.model, self._data, self._geometry, self._results, q, True
        ):
            return None
        for pair, result in zip(self._geometry.collisionPairs, self._results.collisionResults):
            if result.isCollision():
                return self._names[pair.first], self._names[pair.second]
        raise AssertionError("a collision without a pair")

    def all_touching(self, positions_rad: np.ndarray) -> set[frozenset[str]]:
        """Return all pairs of bodies that touch at arm joints (A,)."""
        q = self.full(positions_rad)
        self._pin.computeCollisions(
            self.model, self._data, self._geometry, self._results, q, False
        )
        pairs = zip(self._geometry.collisionPairs, self._results.collisionResults)
        return {
            frozenset((self._names[p.first], self._names[p.second]))
            for p, result in pairs
            if result.isCollision()
        }

    def clearance_m(self, positions_rad: np.ndarray) -> float:
        """Return a bound below the distance of moving links to obstacles at arm joints (A,).

        Meshes count as their convex hulls, which makes it fast. NaN without obstacles.
        """
        if self._geometry.ngeoms == self._own:
            return float("nan")
        if self._hulls is None:
            self._hulls = self._hull_geometry()
        geometry, results = self._hulls
        q = self.full(positions_rad)
        self._pin.computeDistances(self.model, self._data, geometry, results, q)
        return float(min(result.min_distance for result in results.distanceResults))

    def _hull_geometry(self) -> tuple[Any, Any]:
        geometry = self._geometry.copy()
        geometry.removeAllCollisionPairs()
        for shape in geometry.geometryObjects:
            if isinstance(shape.geometry, self._coal.BVHModelBase):
                shape.geometry.buildConvexHull(True, "Qt")
                shape.geometry = shape.geometry.convex
        for k in self._moving:
            for other in range(self._own, geometry.ngeoms):
                geometry.addCollisionPair(self._pin.CollisionPair(k, other))
        return geometry, self._pin.GeometryData(geometry)

    def joined(self) -> dict[frozenset[str], str]:
        """Return pairs of links that touch by design -> Adjacent or Default.

        Adjacent: one joint joins them. Default: only the gripper moves one against the other.
        """
        parents, shapes = self.model.parents, self._links.geometryObjects
        found = {}
        for a in range(self._own):
            for b in range(a):
                pa, pb = shapes[a].parentJoint, shapes[b].parentJoint
                pair = frozenset((self._link_of[a], self._link_of[b]))
                if pa == pb or parents[pa] == pb or parents[pb] == pa:
                    found[pair] = "Adjacent"
                elif self._arm_above[pa] == self._arm_above[pb]:
                    found.setdefault(pair, "Default")
        return found

    def still_links(self) -> list[str]:
        """Return the links that no arm joint moves."""
        moving = {self._link_of[k] for k in self._moving}
        return [link for link in self.links() if link not in moving]

    def links(self) -> list[str]:
        """Return the links with a collision shape."""
        return list(dict.fromkeys(self._link_of))
