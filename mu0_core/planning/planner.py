# SPDX-License-Identifier: Apache-2.0
"""What wants to move asks, what knows a way answers: the `Planner` Protocol.

A planner proposes. Whatever it returns becomes an `ActionChunk` and goes through the safety gate
like any other proposal. A failure is an error with a reason; no planner falls back to another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from mu0_core.errors import PlanningError, ShapeError
from mu0_core.planning.scene import PlanningScene
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics

_ROUNDING_M = 1e-6

PLANNERS = ("none", "roboplan", "move_group", "moveit_py")


@dataclass(frozen=True, slots=True)
class Collision:
    """The first contact on a path.

    Attributes:
        step: row of the path that is reached or approached when bodies touch.
        bodies: names of links or obstacles; empty texts where the planner does not tell.
    """

    step: int
    bodies: tuple[str, str]

    def __str__(self) -> str:
        between = f"{self.bodies[0]} and {self.bodies[1]}" if all(self.bodies) else "bodies"
        return f"{between} would touch at step {self.step}"


@dataclass(frozen=True, slots=True)
class PathCheck:
    """What a check of a path found.

    Attributes:
        collision: the first one, None when the path is free.
        clearance_m: least distance from links that move to obstacles over the rows, or a bound
            below it; NaN when it was not asked for, is not known, or the path is not free.
    """

    collision: Collision | None
    clearance_m: float = float("nan")


class Planner(Protocol):
    """Plans and checks joint paths of one arm; positions are in the order of its description."""

    name: str
    robot: RobotDescription

    def plan(
        self, start_rad: np.ndarray, goal_rad: np.ndarray, scene: PlanningScene, *, seed: int = 0
    ) -> np.ndarray:
        """Return a free path (K, A) from ``start_rad`` to ``goal_rad`` (A,), both included.

        Straight lines between neighbours are free as well, and the tip stays in the workspace.

        Raises:
            PlanningError: start or goal is in collision, beyond limits or outside the workspace,
                or no way was found.
            PlannerUnavailableError: the planner does not answer.
        """
        ...

    def check(
        self, positions_rad: np.ndarray, scene: PlanningScene, *, clearance: bool = False
    ) -> PathCheck:
        """Return what straight lines between positions (K, A) touch first.

        Raises:
            PlannerUnavailableError: the planner does not answer.
        """
        ...

    def inverse(
        self, T_base_tip: np.ndarray, seed_rad: np.ndarray, scene: PlanningScene
    ) -> np.ndarray:
        """Return free joints (A,) near ``seed_rad`` (A,) that reach a tip pose (4, 4).

        Raises:
            KinematicsError: no joints reach the pose.
            PlanningError: those that do are in collision.
            PlannerUnavailableError: the planner does not answer.
        """
        ...

    def close(self) -> None:
        """Release processes and connections."""
        ...


def plan_to_pose(
    planner: Planner,
    start_rad: np.ndarray,
    T_base_tip: np.ndarray,
    scene: PlanningScene,
    *,
    seed: int = 0,
) -> np.ndarray:
    """Return a free path (K, A) from joints (A,) to a tip pose (4, 4); errors as of the parts."""
    goal_rad = planner.inverse(T_base_tip, start_rad, scene)
    return planner.plan(start_rad, goal_rad, scene, seed=seed)


def require_free(check: PathCheck, what: str) -> PathCheck:
    """Return a check that found nothing.

    Raises:
        PlanningError: it found a collision; names the bodies and the step.
    """
    if check.collision is not None:
        raise PlanningError(f"{what}: {check.collision}")
    return check


def checked_positions(positions_rad: np.ndarray, robot: RobotDescription) -> np.ndarray:
    """Return positions as floats (K, A).

    Raises:
        ShapeError: another shape, no row, or a value that is not finite.
    """
    positions = np.atleast_2d(np.asarray(positions_rad, dtype=float))
    if positions.ndim != 2 or positions.shape[1] != len(robot.arm_joints) or not len(positions):
        raise ShapeError(
            f"joint path has shape {positions.shape}, expected (K >= 1, {len(robot.arm_joints)})"
        )
    if not np.isfinite(positions).all():
        raise ShapeError("joint path holds NaN or infinity")
    return positions


def check_within_limits(positions_rad: np.ndarray, robot: RobotDescription, what: str) -> None:
    """Refuse positions (A,) that commands may not reach.

    Raises:
        PlanningError: code LIMIT_VIOLATION; names the joint.
    """
    limits = robot.limits
    beyond = np.maximum(limits.lower_rad - positions_rad, positions_rad - limits.upper_rad)
    worst = int(np.argmax(beyond))
    if beyond[worst] > 1e-6:
        error = PlanningError(
            f"{what}: {robot.arm_joints[worst]} at {positions_rad[worst]:.3f} rad, allowed "
            f"[{limits.lower_rad[worst]:.3f}, {limits.upper_rad[worst]:.3f}]"
        )
        error.code = "LIMIT_VIOLATION"
        raise error


def check_in_workspace(positions_rad: np.ndarray, kinematics: Kinematics, what: str) -> None:
    """Refuse positions (K, A) with the tip outside the workspace, as the gate would.

    Raises:
        PlanningError: code WORKSPACE_VIOLATION; says where.
    """
    robot = kinematics.robot
    tip = kinematics.tip(positions_rad)[:, :3, 3]
    outside = np.maximum(robot.workspace_min_m - tip, tip - robot.workspace_max_m).max(axis=1)
    worst = int(np.argmax(outside))
    if outside[worst] > _ROUNDING_M:
        error = PlanningError(
            f"{what}: the tip at {np.round(tip[worst], 3)} m is outside the workspace "
            f"{robot.workspace_min_m} to {robot.workspace_max_m}"
        )
        error.code = "WORKSPACE_VIOLATION"
        raise error


def checked_ends(
    start_rad: np.ndarray, goal_rad: np.ndarray, kinematics: Kinematics
) -> tuple[np.ndarray, np.ndarray]:
    """Return start and goal (A,) of a plan as floats.

    Raises:
        ShapeError: another shape, or a value that is not finite.
        PlanningError: one is beyond the limits or has its tip outside the workspace.
    """
    ends = [checked_positions(q, kinematics.robot)[0] for q in (start_rad, goal_rad)]
    for what, position in zip(("the start", "the goal"), ends):
        check_within_limits(position, kinematics.robot, what)
        check_in_workspace(position[None], kinematics, what)
    return ends[0], ends[1]


def between(positions_rad: np.ndarray, resolution_rad: float) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (M, A) on straight lines between rows (K, A), and the row of each (M,).

    No joint moves further than ``resolution_rad`` from one to the next; the row is that of the
    line's end.
    """
    rows, steps = [positions_rad[:1]], [np.zeros(1, int)]
    for k, (a, b) in enumerate(pairwise(positions_rad), start=1):
        count = max(1, int(np.ceil(np.max(np.abs(b - a)) / resolution_rad)))
        share = np.arange(1, count + 1)[:, None] / count
        rows.append(a + share * (b - a))
        steps.append(np.full(count, k))
    return np.concatenate(rows), np.concatenate(steps)
