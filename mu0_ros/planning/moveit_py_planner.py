# SPDX-License-Identifier: Apache-2.0
"""moveit_py behind the `Planner` Protocol. Only to be used in a process of its own.

Taking MoveItPy down may crash the process (moveit2 issues 2663, 3721), so the stack never loads
it: `planner_process` starts ``python -m mu0_ros.planning.planner_server moveit_py`` and asks that.
MoveIt's parameters (URDF, SRDF, kinematics, pipelines) come from a parameter file.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from mu0_core.errors import KinematicsError, PlannerUnavailableError, PlanningError
from mu0_core.planning import planner as answers
from mu0_core.planning.planner import Collision, PathCheck
from mu0_core.planning.scene import PlanningScene
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics
from mu0_ros.planning import moveit_messages as messages
from mu0_ros.planning.move_group_planner import MoveGroupSettings

NODE_NAME = "mu0_moveit_py"


class MoveItPyPlanner:
    """Plans and checks for one arm; a `Planner`.

    Args:
        robot: the arm.
        settings: group and times.
        params: file with MoveIt's parameters, under the node name `NODE_NAME`.

    Raises:
        PlannerUnavailableError: moveit_py or moveit_msgs is not installed, or does not start.
    """

    name = "moveit_py"

    def __init__(
        self, robot: RobotDescription, settings: MoveGroupSettings, params: str = ""
    ) -> None:
        if params:  # moveit.utils looks for it there, while it is imported
            sys.argv = [sys.argv[0], "--ros-args", "--params-file", params]
        try:
            from moveit.core.robot_state import RobotState
            from moveit.planning import MoveItPy, PlanRequestParameters
        except ImportError as error:
            raise PlannerUnavailableError(
                f"planner moveit_py needs apt install ros-jazzy-moveit-py ({error})"
            ) from error
        messages.import_moveit_msgs()
        self.robot, self.settings = robot, settings
        self._kinematics = Kinematics(robot)
        self._state_type, self._request_type = RobotState, PlanRequestParameters
        try:
            self._moveit = MoveItPy(node_name=NODE_NAME)
            self._arm = self._moveit.get_planning_component(settings.group)
        except RuntimeError as error:
            raise PlannerUnavailableError(f"moveit_py does not start: {error}") from error
        self._model = self._moveit.get_robot_model()
        self._monitor = self._moveit.get_planning_scene_monitor()
        self._known: set[str] = set()
        self._told: PlanningScene | None = None

    def close(self) -> None:
        """Shut MoveIt down; this may end the process."""
        self._moveit.shutdown()

    # -- Planner ---------------------------------------------------------------------------------

    def plan(
        self, start_rad: np.ndarray, goal_rad: np.ndarray, scene: PlanningScene, *, seed: int = 0
    ) -> np.ndarray:
        """Return a free path (K, A); MoveIt takes no seed. Errors as in `Planner`."""
        ends = answers.checked_ends(start_rad, goal_rad, self._kinematics)
        self._tell(scene)
        self._arm.set_start_state(robot_state=self._state(ends[0], scene))
        self._arm.set_goal_state(robot_state=self._state(ends[1], scene))
        planned = self._arm.plan()
        if not planned:
            raise messages.error_of(planned.error_code, "MoveIt")
        trajectory = planned.trajectory.get_robot_trajectory_msg()
        path = messages.path_of(trajectory, self.robot)
        path = np.concatenate([ends[0][None], path[1:-1], ends[1][None]])
        rows, _ = answers.between(path, self.settings.resolution_rad)
        answers.check_in_workspace(rows, self._kinematics, "MoveIt's plan")
        return path

    def check(
        self, positions_rad: np.ndarray, scene: PlanningScene, *, clearance: bool = False
    ) -> PathCheck:
        """Return whether lines between positions (K, A) touch anything; bodies are not told."""
        positions = answers.checked_positions(positions_rad, self.robot)
        self._tell(scene)
        rows, steps = answers.between(positions, self.settings.resolution_rad)
        with self._monitor.read_only() as known:
            for q, step in zip(rows, steps):
                state = self._state(q, scene)
                if known.is_state_colliding(
                    robot_state=state, joint_model_group_name=self.settings.group
                ):
                    return PathCheck(Collision(int(step), ("", "")))
        return PathCheck(None)

    def inverse(
        self, T_base_tip: np.ndarray, seed_rad: np.ndarray, scene: PlanningScene
    ) -> np.ndarray:
        """Return free joints (A,) near the seed that reach a pose (4, 4); see `Planner`."""
        seed = answers.checked_positions(seed_rad, self.robot)[0]
        self._tell(scene)
        state, group = self._state(seed, scene), self.settings.group
        pose = messages.pose_message(T_base_tip)
        if not state.set_from_ik(group, pose, self.robot.tip_frame, self.settings.allowed_s):
            raise KinematicsError("MoveIt's inverse kinematics: no joints reach the pose")
        state.update()
        with self._monitor.read_only() as known:
            if known.is_state_colliding(robot_state=state, joint_model_group_name=group):
                raise PlanningError("the pose can only be reached in collision")
        positions = state.joint_positions
        joints = np.array([positions[name] for name in self.robot.arm_joints])
        answers.check_within_limits(joints, self.robot, "MoveIt's inverse kinematics")
        return joints

    # -- parts -----------------------------------------------------------------------------------

    def _state(self, positions_rad: np.ndarray, scene: PlanningScene) -> Any:
        state = self._state_type(self._model)
        values = dict(zip(self.robot.arm_joints, map(float, positions_rad)))
        if scene.gripper_m is not None:
            hand = self.robot.gripper
            values[hand.joint] = scene.gripper_m / hand.opening_per_joint_m
        state.joint_positions = values
        state.update()
        return state

    def _tell(self, scene: PlanningScene) -> None:
        if scene is self._told:
            return
        change = messages.planning_scene(scene, self.robot, self._known)
        with self._monitor.read_write() as known:
            for thing in change.world.collision_objects:
                known.apply_collision_object(thing)
        self._told = scene
