# SPDX-License-Identifier: Apache-2.0
"""The part of roboplan that is used: its scene, RRT-Connect with shortcuts, inverse kinematics.

What it finds is not believed here: `RoboplanPlanner` checks it again in our `CollisionModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mu0_core.errors import ConfigError, PlannerUnavailableError
from mu0_core.planning.allowed_collisions import GROUP
from mu0_core.planning.collision_model import MISSING, CollisionModel, srdf_text
from mu0_core.planning.scene import POINTS, PlanningScene
from mu0_core.planning.urdf_shapes import limited_urdf_text
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import IkSettings, Kinematics

_COLOUR = np.array([0.5, 0.5, 0.5, 1.0])
_WORLD = "universe"
_INSIDE_M, _MISSED_M = 0.005, 0.001
_ANY_TURN = np.full(3, 2 * np.pi)
_OCCUPIED, _FROM = 1.0, 0.5  # of a cube, and from which on it is solid


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How hard is searched.

    Attributes:
        allowed_s: for one plan; half of it with padding.
        search_s: for one search of a plan.
        searches: at most, each with another seed.
        wanted: free paths of which the shortest is taken.
        resolution_rad: no joint moves further between two checks.
        max_nodes: of one search's trees.
        shortcuts: that are tried.
        ik_s: for one attempt of inverse kinematics.
        ik_attempts: from other joints.
        ik_wanted: free solutions of which the nearest is taken.
        padding_m: kept from boxes where there is room; the cubes of points have theirs in them.
        clearance_rows: of a path, at most, at which the clearance is measured.
    """

    allowed_s: float = 3.0
    search_s: float = 1.0
    searches: int = 20
    wanted: int = 3
    resolution_rad: float = 0.03
    max_nodes: int = 5000
    shortcuts: int = 200
    ik_s: float = 0.1
    ik_attempts: int = 8
    ik_wanted: int = 3
    padding_m: float = 0.01
    clearance_rows: int = 24

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} {getattr(self, name)} must be positive")


def import_roboplan() -> tuple[Any, Any, Any]:
    """Return the modules roboplan.core, roboplan.rrt and roboplan.simple_ik.

    Raises:
        PlannerUnavailableError: they are not installed; names the extra.
    """
    try:
        import roboplan.core
        import roboplan.rrt
        import roboplan.simple_ik
    except ImportError as error:
        raise PlannerUnavailableError(f"{MISSING} ({error})") from error
    return roboplan.core, roboplan.rrt, roboplan.simple_ik


class RoboplanSpace:
    """One arm in roboplan's scene.

    Args:
        robot: the arm.
        model: of the same arm; names the links that stand still.
        settings: how hard is searched.
    """

    def __init__(
        self, robot: RobotDescription, model: CollisionModel, settings: SearchSettings
    ) -> None:
        self._core, self._rrt, self._ik = import_roboplan()
        self._robot, self._model, self._settings = robot, model, settings
        description = self._core.loadUrdfSceneDescriptionFromXml(limited_urdf_text(robot), [])
        self._space = self._core.Scene(robot.name, description)
        self._space.importSrdf(srdf_text(robot))
        self._names = list(robot.arm_joints)
        self._kinematics = Kinematics(robot)
        self._added: list[str] = []

    def set_scene(self, scene: PlanningScene) -> None:
        """Take the obstacles of a scene that the model has taken already."""
        core, space, root = self._core, self._space, self._model.T_root_base
        for name in self._added:
            space.removeGeometry(name)
        self._added = [box.name for box in scene.boxes]
        for box in scene.boxes:
            shape = core.Box(*box.size_m)
            space.addBoxGeometry(box.name, _WORLD, shape, root @ box.T_base_box, _COLOUR)
        if len(scene.points_m):
            space.addOcTreeGeometry(POINTS, _WORLD, self._octree(scene), root, _COLOUR)
            self._added.append(POINTS)
        still = [*self._model.still_links(), *self._added]  # these may touch one another
        pairs = [(still[k], name) for name in self._added for k in range(still.index(name))]
        if pairs:
            space.setCollisions(pairs, False)
        space.setJointPositions(self._model.full(self._robot.home_rad))  # the fingers' as well

    def _octree(self, scene: PlanningScene) -> Any:
        count = len(scene.points_m)
        columns = (np.full(count, scene.voxel_m), np.full(count, _OCCUPIED), np.full(count, _FROM))
        return self._core.OcTree(list(np.column_stack([scene.points_m, *columns])), scene.voxel_m)

    def search(
        self, start_rad: np.ndarray, goal_rad: np.ndarray, seed: int, within_s: float
    ) -> np.ndarray | None:
        """Return a path (K, A) between joints (A,), or None when none was found in time.

        The tip stays in the workspace of the description on all of it.
        """
        core, s = self._core, self._settings
        options = self._rrt.RRTOptions(
            group_name=GROUP,
            max_nodes=s.max_nodes,
            collision_check_step_size=s.resolution_rad,
            max_planning_time=within_s,
            rrt_connect=True,
        )
        workspace = self._workspace(np.stack([start_rad, goal_rad]))
        tree = self._rrt.RRT(self._space, options)
        tree.setRngSeed(seed)
        ends = [core.JointConfiguration(self._names, q) for q in (start_rad, goal_rad)]
        try:
            path = tree.plan(*ends, [workspace])
        except RuntimeError:  # roboplan's word for none
            return None
        columns = [list(path.joint_names).index(name) for name in self._names]
        positions = np.array(path.positions)[:, columns]
        positions[0], positions[-1] = start_rad, goal_rad
        inside = self._rrt.ConstraintProjector(self._space, GROUP, [workspace])
        return self._shortened(positions, inside, np.random.default_rng(seed))

    def _workspace(self, ends_rad: np.ndarray) -> Any:
        """Return the constraint that the tip stays in the workspace, whatever its orientation.

        A constraint may be missed by its tolerance; so the box is smaller, but holds both ends.
        """
        robot = self._robot
        low, high = robot.workspace_min_m, robot.workspace_max_m
        tips = self._kinematics.tip(ends_rad)[:, :3, 3]
        depth = float(np.min([tips - low, high - tips]))
        bounds = np.concatenate([(high - low) / 2 - min(_INSIDE_M, depth + _MISSED_M), _ANY_TURN])
        pose = np.eye(4)
        pose[:3, 3] = (low + high) / 2
        return self._rrt.PoseConstraint(
            self._space,
            GROUP,
            robot.tip_frame,
            -bounds,
            bounds,
            pose,
            robot.base_frame,
            position_tolerance=_MISSED_M,
        )

    def _shortened(self, path: np.ndarray, inside: Any, order: np.random.Generator) -> np.ndarray:
        """Return a path with straight lines where they are free and inside.

        roboplan's own shortcuts know no constraints.
        """
        rows = list(path)
        for _ in range(self._settings.shortcuts):
            if len(rows) < 3:
                break
            a, b = sorted(order.choice(len(rows), 2, replace=False))
            if b - a > 1 and self._is_free(rows[a], rows[b], inside):
                del rows[a + 1 : b]
        return np.array(rows)

    def _is_free(self, a: np.ndarray, b: np.ndarray, inside: Any) -> bool:
        step = self._settings.resolution_rad
        full_a, full_b = self._model.full(a), self._model.full(b)
        return inside.satisfiesAlongPath(full_a, full_b, step) and not (
            self._core.hasCollisionsAlongPath(self._space, full_a, full_b, step)
        )

    def solve_ik(
        self, T_base_tip: np.ndarray, begin_rad: np.ndarray, seed: int, *, avoid: bool
    ) -> np.ndarray | None:
        """Return joints (A,) that reach a pose (4, 4) within the tolerances of `Kinematics`.

        Args:
            T_base_tip: the pose.
            begin_rad: joints (A,) of the first try; later ones are random.
            seed: of those.
            avoid: only joints that are free of collision.
        """
        core, robot, tolerance = self._core, self._robot, IkSettings()
        options = self._ik.SimpleIkOptions(
            group_name=GROUP,
            max_time=self._settings.ik_s,
            max_restarts=20,
            step_size=0.5,
            max_linear_error_norm=tolerance.position_tolerance_m,
            max_angular_error_norm=tolerance.rotation_tolerance_rad,
            check_collisions=avoid,
        )
        solver = self._ik.SimpleIk(self._space, options)
        solver.setRngSeed(seed)
        goal = core.CartesianConfiguration(robot.base_frame, robot.tip_frame, T_base_tip)
        found = core.JointConfiguration()
        begin = core.JointConfiguration(self._names, np.asarray(begin_rad, float))
        if not solver.solveIk(goal, begin, found):
            return None
        columns = [list(found.joint_names).index(name) for name in self._names]
        return np.array(found.positions)[columns]
