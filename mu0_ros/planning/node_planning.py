# SPDX-License-Identifier: Apache-2.0
"""What the action expert's node has beside its expert when a planner is configured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rclpy.node import Node

from mu0_core.action_expert.geometric.geometric_expert import MODEL_ID as GEOMETRIC
from mu0_core.errors import ConfigError, StaleObservationError
from mu0_core.inference.protocols import ActionExpert
from mu0_core.observation.rules import CameraRules
from mu0_core.planning.checked_expert import CheckedExpert, CheckSettings
from mu0_core.planning.depth_points import DepthPointSettings, DepthScene
from mu0_core.planning.planner import PLANNERS, Planner
from mu0_core.planning.scene import PlanningScene
from mu0_core.robot.description import RobotDescription
from mu0_core.types import Proprioception
from mu0_ros.action_expert_parameters import ActionExpertParameters
from mu0_ros.camera_stream import CameraStream
from mu0_ros.observation_time import check_age
from mu0_ros.obstacles import obstacles_from_file

_SLOP_S = 0.05  # obstacles stand still; colour only comes along


def make_planner(node: Node, robot: RobotDescription, p: ActionExpertParameters) -> Planner:
    """Return the planner that the parameters name; not for ``none``.

    Raises:
        ConfigError: no such planner, or it lacks a parameter.
        PlannerUnavailableError: it is not installed.
    """
    if p.planner == "roboplan":
        from mu0_core.planning.roboplan_planner import RoboplanPlanner
        from mu0_core.planning.roboplan_space import SearchSettings

        return RoboplanPlanner(robot, SearchSettings(allowed_s=p.planning_time_s))
    from mu0_ros.planning.move_group_planner import MoveGroupPlanner, MoveGroupSettings

    if p.planner == "move_group":
        from mu0_ros.planning.moveit_messages import import_moveit_msgs
        from mu0_ros.planning.service_caller import ServiceCaller

        settings = MoveGroupSettings(p.planning_group, p.planning_time_s)
        import_moveit_msgs()
        caller = ServiceCaller(node)
        return MoveGroupPlanner(robot, caller.call, settings, caller.close)
    if p.planner == "moveit_py":
        from mu0_ros.planning.planner_process import PlannerProcess

        settings = MoveGroupSettings(p.planning_group, p.planning_time_s)
        words = ["moveit_py", "--robot", p.robot, "--group", settings.group]
        words += ["--allowed-s", str(p.planning_time_s), "--params", p.moveit_params]
        answer_s = p.planning_time_s + settings.answer_s
        return PlannerProcess(robot, "moveit_py", words, answer_s=answer_s)
    raise ConfigError(f"planner {p.planner!r}: allowed are {', '.join(PLANNERS)}")


class NodePlanning:
    """A planner, and eyes for it.

    Args:
        node: whose namespace, remappings and clock apply.
        robot: the arm.
        parameters: of the node.
    """

    def __init__(self, node: Node, robot: RobotDescription, parameters: ActionExpertParameters):
        self._node, self._p = node, parameters
        self.planner = make_planner(node, robot, parameters)
        self._depth = DepthScene(
            robot,
            DepthPointSettings(voxel_m=parameters.obstacle_voxel_m),
            obstacles_from_file(parameters.obstacles),
        )
        self._camera: CameraStream | None = None
        if parameters.see_obstacles:
            p = parameters
            rules = CameraRules((0.05, 10.0), p.depth_scale, p.depth_offset_m, p.rectified, False)
            self._camera = CameraStream(node, _SLOP_S, rules)

    @property
    def sees(self) -> bool:
        """Say whether obstacles come from a camera."""
        return self._camera is not None

    def look(self, state: Proprioception, T_base_camera: np.ndarray) -> PlanningScene:
        """Return what is in the way now.

        Raises:
            StaleObservationError: no image, or none that is young enough.
            ObservationError: the image cannot be used.
        """
        return self.look_around(state, lambda *_: T_base_camera)[0]

    def look_around(
        self, state: Proprioception, T_base_camera: Callable[[str, int], np.ndarray]
    ) -> tuple[PlanningScene, int]:
        """Return what is in the way now, and the stamp of what was seen.

        Args:
            state: where the arm stands.
            T_base_camera: returns the pose (4, 4) of a camera frame at a time.

        Raises:
            StaleObservationError: no image, or none that is young enough.
            ObservationError: the image cannot be used.
        """
        if self._camera is None:
            return self._depth.bare(state), state.stamp_ns
        frame = self._camera.newest_frame()
        if frame is None:
            raise StaleObservationError("no depth image yet: obstacles cannot be seen")
        now_ns = self._node.get_clock().now().nanoseconds
        check_age("depth image", frame.stamp_ns, now_ns, self._p.max_obstacle_age_s)
        pose = T_base_camera(frame.frame_id, frame.stamp_ns)
        return self._depth.look(frame, pose, state), frame.stamp_ns

    def checked(self, expert: ActionExpert) -> CheckedExpert:
        """Return an expert whose chunks are checked; the geometric one may take detours."""
        detour = expert.model_id == GEOMETRIC
        settings = CheckSettings(detour=detour, contact_m=self._p.contact_m)
        return CheckedExpert(expert, self.planner, self.look, settings)

    def close(self) -> None:
        """Release camera and planner."""
        if self._camera is not None:
            self._camera.close()
        self.planner.close()
