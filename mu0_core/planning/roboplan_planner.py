# SPDX-License-Identifier: Apache-2.0
"""The planner that runs without MoveIt: RRT-Connect and shortcuts of the package roboplan.

Paths are searched in roboplan's scene and checked again in our `CollisionModel` before they are
returned; both read the same URDF, SRDF and obstacles. The second check also looks with the eyes of
the safety gate, capsules that keep a margin: a way that it would refuse is none. Deterministic for
a seed as long as the time allowed is not used up. Not for several threads at once.
"""

from __future__ import annotations

import time

import numpy as np

from mu0_core.control.collision_check import CollisionChecker
from mu0_core.errors import KinematicsError, PlanningError
from mu0_core.planning import planner as answers
from mu0_core.planning.collision_model import CollisionModel
from mu0_core.planning.planner import Collision, PathCheck
from mu0_core.planning.roboplan_space import RoboplanSpace, SearchSettings
from mu0_core.planning.scene import FLOOR, PlanningScene
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics


class RoboplanPlanner:
    """Plans and checks for one arm; a `Planner`.

    Args:
        robot: the arm; its SRDF lies beside its URDF.
        settings: how hard is searched.

    Raises:
        PlannerUnavailableError: the extra ``planning`` is not installed.
        ConfigError: the arm has no SRDF or no collision shapes.
    """

    name = "roboplan"

    def __init__(self, robot: RobotDescription, settings: SearchSettings | None = None) -> None:
        self.robot, self.settings = robot, settings or SearchSettings()
        self._kinematics = Kinematics(robot)
        self._model = CollisionModel(robot)
        self._gate: CollisionChecker | None = None
        self._space = RoboplanSpace(robot, self._model, self.settings)
        self._in_model: PlanningScene | None = None
        self._in_space: PlanningScene | None = None

    def close(self) -> None:
        """Nothing is to be released."""

    # -- Planner ---------------------------------------------------------------------------------

    def plan(
        self, start_rad: np.ndarray, goal_rad: np.ndarray, scene: PlanningScene, *, seed: int = 0
    ) -> np.ndarray:
        """Return a free path (K, A), the straight line where that is one; see `Planner`."""
        self._model_takes(scene)
        ends = np.stack(
            [answers.checked_positions(q, self.robot)[0] for q in (start_rad, goal_rad)]
        )
        for what, q in zip(("the start", "the goal"), ends):
            answers.check_within_limits(q, self.robot, what)
            answers.check_in_workspace(q[None], self._kinematics, what)
            touching = self._touching(q)
            if touching is not None:
                raise PlanningError(f"{what} is in collision: {touching[0]} and {touching[1]}")
        s = self.settings
        for obstacles in (scene.padded(s.padding_m), scene):
            if self._is_free(ends, obstacles):
                return ends
            if any(self._touches(q, obstacles) for q in ends):
                continue  # an end is nearer than the padding: there is no room for it
            path = self._search(ends, obstacles, scene, seed)
            if path is not None:
                return path
        raise PlanningError(f"no way around the obstacles was found within {s.allowed_s} s")

    def check(
        self, positions_rad: np.ndarray, scene: PlanningScene, *, clearance: bool = False
    ) -> PathCheck:
        """Return what lines between positions (K, A) touch first; see `Planner`."""
        positions = answers.checked_positions(positions_rad, self.robot)
        self._model_takes(scene)
        collision = self._first_collision(positions)
        if collision is not None or not clearance:
            return PathCheck(collision)
        last, most = len(positions) - 1, self.settings.clearance_rows
        rows = positions[np.unique(np.linspace(0, last, most).round().astype(int))]
        return PathCheck(None, min(self._model.clearance_m(q) for q in rows))

    def inverse(
        self, T_base_tip: np.ndarray, seed_rad: np.ndarray, scene: PlanningScene
    ) -> np.ndarray:
        """Return free joints (A,) near the seed that reach a pose (4, 4); see `Planner`."""
        self._model_takes(scene)
        seed = answers.checked_positions(seed_rad, self.robot)[0]
        unreached: KinematicsError | None = None
        touched: tuple[str, str] | None = None
        try:
            near = self._kinematics.inverse(T_base_tip, seed)
            touched = self._touching(near)
            if touched is None:
                return near
        except KinematicsError as error:
            unreached = error
        free: list[np.ndarray] = []
        for joints in self._other_solutions(T_base_tip, seed, scene):
            touching = self._touching(joints)
            touched = touched or touching
            free += [joints] if touching is None else []
            if len(free) >= self.settings.ik_wanted:
                break
        if free:
            return min(free, key=lambda q: float(np.linalg.norm(q - seed)))
        if touched is None and unreached is not None:
            raise unreached
        raise PlanningError(
            f"the pose can only be reached in collision: {touched[0]} and {touched[1]}"
        )

    # -- parts -----------------------------------------------------------------------------------

    def _other_solutions(self, T_base_tip: np.ndarray, seed: np.ndarray, scene: PlanningScene):
        """Yield joints (A,) that reach a pose, from other beginnings; some may be in collision.

        roboplan's solver asks for the whole pose, so an arm that cannot turn its tip freely keeps
        to ours.
        """
        order, limits, s = np.random.default_rng(0), self.robot.limits, self.settings
        random = order.uniform(limits.lower_rad, limits.upper_rad, (s.ik_attempts, len(seed)))
        beginnings = [self.robot.home_rad, *random]
        if self.robot.rotation_slack_rad > 0:
            for begin in beginnings:
                try:
                    yield self._kinematics.inverse(T_base_tip, begin)
                except KinematicsError:
                    continue
            return
        self._space_takes(scene)
        for k, begin in enumerate((seed, *beginnings)):
            found = self._space.solve_ik(T_base_tip, begin, k, avoid=True)
            if found is not None:
                yield found
            elif k == 0:  # say why: in the way, or out of reach
                found = self._space.solve_ik(T_base_tip, begin, k, avoid=False)
                if found is None:
                    return
                yield found

    def _search(
        self, ends: np.ndarray, obstacles: PlanningScene, scene: PlanningScene, seed: int
    ) -> np.ndarray | None:
        """Return the shortest of a few paths (K, A) around obstacles; None: none in time.

        Shortest in joint space: what a random search finds may wander.
        """
        s = self.settings
        found: list[np.ndarray] = []
        end_s = time.monotonic() + s.allowed_s / 2
        self._space_takes(obstacles)
        for k in range(s.searches):
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                break
            path = self._space.search(*ends, seed * s.searches + k, min(s.search_s, left_s))
            if path is not None and self._is_free(path, scene):
                found.append(path)
            if len(found) >= s.wanted:
                break
        return min(found, key=_length, default=None)

    def _touches(self, q: np.ndarray, scene: PlanningScene) -> bool:
        self._model_takes(scene)
        return self._touching(q) is not None

    def _touching(self, q: np.ndarray) -> tuple[str, str] | None:
        """Return two bodies that touch at joints (A,), or are nearer than the gate allows."""
        return self._model.touching(q) or self._too_near(q)

    def _too_near(self, positions_rad: np.ndarray) -> tuple[str, str] | None:
        """Return two bodies that are nearer than the gate allows, at joints (A,) or any (K, A)."""
        if self._gate is None:
            return None
        clearance = self._gate.at(positions_rad)
        return clearance.pair if clearance.too_near else None

    def _is_free(self, path: np.ndarray, scene: PlanningScene) -> bool:
        """Say whether a path (K, A) keeps clear of a scene and in the workspace."""
        self._model_takes(scene)
        if self._first_collision(path) is not None:
            return False
        try:
            rows, _ = answers.between(path, self.settings.resolution_rad)
            answers.check_in_workspace(rows, self._kinematics, "the path")
        except PlanningError:
            return False
        return True

    def _first_collision(self, positions_rad: np.ndarray) -> Collision | None:
        rows, steps = answers.between(positions_rad, self.settings.resolution_rad)
        touching_of = self._touching if self._too_near(rows) else self._model.touching
        for q, step in zip(rows, steps):
            touching = touching_of(q)
            if touching is not None:
                return Collision(int(step), touching)
        return None

    def _model_takes(self, scene: PlanningScene) -> None:
        if scene is self._in_model:
            return
        self._model.set_scene(scene)
        self._in_model = scene
        body = self.robot.collision
        if body is not None:
            described = {FLOOR, *(box.name for box in body.boxes)}
            boxes = tuple(box for box in scene.boxes if box.name not in described)
            self._gate = CollisionChecker(self._kinematics, body, boxes)

    def _space_takes(self, scene: PlanningScene) -> None:
        if scene is not self._in_space:
            self._space.set_scene(scene)
            self._in_space = scene


def _length(path: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
