# SPDX-License-Identifier: Apache-2.0
"""MoveIt's move_group behind the `Planner` Protocol, through its services.

Used: ``apply_planning_scene``, ``plan_kinematic_path``, ``check_state_validity``, ``compute_ik``.
Our obstacles are named ``mu0/...`` in MoveIt's scene; what else it knows (its own octomap,
attached things) counts as well. MoveIt's velocities are not used: the timing is ours, and the
gate's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mu0_core.errors import ConfigError, PlannerUnavailableError, PlanningError
from mu0_core.planning import planner as answers
from mu0_core.planning.planner import Collision, PathCheck
from mu0_core.planning.scene import PlanningScene
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics
from mu0_ros.conversions.stamp import duration_from_s
from mu0_ros.planning import moveit_messages as messages

# kind of service, its name, request, time-out -> response; `ServiceCaller.call`
Call = Callable[[type, str, Any, float], Any]
_GOAL_TOLERANCE_RAD = 1e-3


@dataclass(frozen=True, slots=True)
class MoveGroupSettings:
    """How move_group is asked.

    Attributes:
        group: planning group of the arm in MoveIt's SRDF; no default, every configuration differs.
        allowed_s: for one plan.
        answer_s: longer waits than that, beyond the time allowed, are failures.
        attempts: plans that are asked for until one stays in the workspace.
        resolution_rad: of collision checks along a path.
        most_states: checked of one path; a longer one is checked more coarsely, but each row is.
    """

    group: str
    allowed_s: float = 2.0
    answer_s: float = 2.0
    attempts: int = 3
    resolution_rad: float = 0.1
    most_states: int = 200

    def __post_init__(self) -> None:
        if not self.group:
            raise ConfigError(
                "MoveIt needs planning_group, the arm's group in its SRDF, such as fr3_arm or "
                "ur_manipulator"
            )
        if not min(self.allowed_s, self.answer_s, self.resolution_rad) > 0 or self.attempts < 1:
            raise ConfigError(f"times, resolution and attempts must be positive: {self}")


class MoveGroupPlanner:
    """Plans and checks for one arm; a `Planner`.

    Args:
        robot: the arm.
        call: how services are called.
        settings: of MoveIt.
        close: called by `close`.

    Raises:
        PlannerUnavailableError: moveit_msgs is not installed.
    """

    name = "move_group"

    def __init__(
        self,
        robot: RobotDescription,
        call: Call,
        settings: MoveGroupSettings,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._msg, self._srv = messages.import_moveit_msgs()
        self.robot, self.settings, self._call = robot, settings, call
        self._kinematics, self._close = Kinematics(robot), close
        self._known: set[str] = set()
        self._told: PlanningScene | None = None

    def close(self) -> None:
        """Close the connection."""
        self._close()

    # -- Planner ---------------------------------------------------------------------------------

    def plan(
        self, start_rad: np.ndarray, goal_rad: np.ndarray, scene: PlanningScene, *, seed: int = 0
    ) -> np.ndarray:
        """Return a free path (K, A); MoveIt takes no seed. Errors as in `Planner`."""
        ends = answers.checked_ends(start_rad, goal_rad, self._kinematics)
        self._tell(scene)
        refused: PlanningError | None = None
        for _ in range(self.settings.attempts):
            path = self._planned(*ends, scene)
            rows, _ = answers.between(path, self.settings.resolution_rad)
            try:
                answers.check_in_workspace(rows, self._kinematics, "MoveIt's plan")
            except PlanningError as error:
                refused = error
                continue
            return path
        raise refused

    def check(
        self, positions_rad: np.ndarray, scene: PlanningScene, *, clearance: bool = False
    ) -> PathCheck:
        """Return what lines between positions (K, A) touch first; MoveIt tells no clearance."""
        positions = answers.checked_positions(positions_rad, self.robot)
        self._tell(scene)
        rows, steps = answers.between(positions, self.settings.resolution_rad)
        if len(rows) > self.settings.most_states:
            rows, steps = positions, np.arange(len(positions))
        for q, step in zip(rows, steps):
            request = self._srv.GetStateValidity.Request(
                robot_state=messages.robot_state(self.robot, q, scene.gripper_m),
                group_name=self.settings.group,
            )
            answer = self._ask(self._srv.GetStateValidity, "check_state_validity", request)
            if not answer.valid:
                return PathCheck(Collision(int(step), _bodies(answer.contacts)))
        return PathCheck(None)

    def inverse(
        self, T_base_tip: np.ndarray, seed_rad: np.ndarray, scene: PlanningScene
    ) -> np.ndarray:
        """Return free joints (A,) near the seed that reach a pose (4, 4); see `Planner`."""
        seed = answers.checked_positions(seed_rad, self.robot)[0]
        self._tell(scene)
        wanted = self._msg.PositionIKRequest(
            group_name=self.settings.group,
            robot_state=messages.robot_state(self.robot, seed, scene.gripper_m),
            avoid_collisions=True,
            ik_link_name=self.robot.tip_frame,
            timeout=duration_from_s(self.settings.allowed_s),
        )
        wanted.pose_stamped.header.frame_id = self.robot.base_frame
        wanted.pose_stamped.pose = messages.pose_message(T_base_tip)
        request = self._srv.GetPositionIK.Request(ik_request=wanted)
        answer = self._ask(self._srv.GetPositionIK, "compute_ik", request)
        if answer.error_code.val != messages.SUCCESS:
            raise messages.error_of(answer.error_code, "MoveIt's inverse kinematics")
        state = answer.solution.joint_state
        found = dict(zip(state.name, state.position))
        joints = np.array([found[name] for name in self.robot.arm_joints])
        answers.check_within_limits(joints, self.robot, "MoveIt's inverse kinematics")
        return joints

    # -- services --------------------------------------------------------------------------------

    def _planned(self, start: np.ndarray, goal: np.ndarray, scene: PlanningScene) -> np.ndarray:
        request = self._srv.GetMotionPlan.Request(
            motion_plan_request=self._msg.MotionPlanRequest(
                group_name=self.settings.group,
                start_state=messages.robot_state(self.robot, start, scene.gripper_m),
                goal_constraints=[messages.joint_goal(self.robot, goal, _GOAL_TOLERANCE_RAD)],
                num_planning_attempts=1,
                allowed_planning_time=self.settings.allowed_s,
                max_velocity_scaling_factor=1.0,
                max_acceleration_scaling_factor=1.0,
            )
        )
        answer = self._ask(self._srv.GetMotionPlan, "plan_kinematic_path", request)
        planned = answer.motion_plan_response
        if planned.error_code.val != messages.SUCCESS:
            raise messages.error_of(planned.error_code, "MoveIt")
        path = messages.path_of(planned.trajectory, self.robot)
        return np.concatenate([start[None], path[1:-1], goal[None]])

    def _tell(self, scene: PlanningScene) -> None:
        """Give MoveIt our obstacles, when they are others than last time."""
        if scene is self._told:
            return
        change = messages.planning_scene(scene, self.robot, self._known)
        request = self._srv.ApplyPlanningScene.Request(scene=change)
        if not self._ask(self._srv.ApplyPlanningScene, "apply_planning_scene", request).success:
            raise PlannerUnavailableError("move_group did not take the obstacles")
        self._told = scene

    def _ask(self, kind: type, service: str, request: Any) -> Any:
        s = self.settings
        return self._call(kind, service, request, s.allowed_s + s.answer_s)


def _bodies(contacts: Any) -> tuple[str, str]:
    if not contacts:
        return "", ""
    first = contacts[0]
    return first.contact_body_1.removeprefix("mu0/"), first.contact_body_2.removeprefix("mu0/")
