# SPDX-License-Identifier: Apache-2.0
"""From our arrays to MoveIt's messages and back; moveit_msgs is imported on use."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from sensor_msgs.msg import JointState
from shape_msgs.msg import SolidPrimitive

from mu0_core.errors import KinematicsError, Mu0Error, PlannerUnavailableError, PlanningError
from mu0_core.geometry import se3
from mu0_core.planning.scene import POINTS, PlanningScene
from mu0_core.robot.description import RobotDescription

# Values of moveit_msgs/MoveItErrorCodes that mean more to us than "no plan".
SUCCESS = 1
_NO_IK_SOLUTION = -31
_TIMED_OUT = -6
_START_IN_COLLISION = -10
_GOAL_IN_COLLISION = -12
_INVALID_GROUP_NAME = -15
_WORDS = {
    -1: "planning failed",
    -2: "the plan is invalid",
    _TIMED_OUT: "no plan was found in time",
    _START_IN_COLLISION: "the start is in collision",
    _GOAL_IN_COLLISION: "the goal is in collision",
    _INVALID_GROUP_NAME: "MoveIt knows no such planning group",
    _NO_IK_SOLUTION: "no joints reach the pose free of collision",
}


def import_moveit_msgs() -> tuple[ModuleType, ModuleType]:
    """Return moveit_msgs.msg and moveit_msgs.srv.

    Raises:
        PlannerUnavailableError: not installed; names the package.
    """
    try:
        import moveit_msgs.msg
        import moveit_msgs.srv
    except ImportError as error:
        raise PlannerUnavailableError(
            f"this planner needs moveit_msgs: apt install ros-jazzy-moveit-msgs ({error})"
        ) from error
    return moveit_msgs.msg, moveit_msgs.srv


def error_of(code: Any, what: str) -> Mu0Error:
    """Return our error for a MoveItErrorCodes that is not SUCCESS."""
    text = _WORDS.get(code.val, f"MoveIt error {code.val}")
    told = getattr(code, "message", "")
    message = f"{what}: {text}" + (f" ({told})" if told else "")
    if code.val == _NO_IK_SOLUTION:
        return KinematicsError(message)
    if code.val == _INVALID_GROUP_NAME:
        return PlannerUnavailableError(message)
    return PlanningError(message)


def robot_state(
    robot: RobotDescription, positions_rad: np.ndarray, gripper_m: float | None
) -> Any:
    """Return RobotState of arm joints (A,) and, where known, the gripper's."""
    msg, _ = import_moveit_msgs()
    names, values = list(robot.arm_joints), np.asarray(positions_rad, float).tolist()
    if gripper_m is not None:
        names.append(robot.gripper.joint)
        values.append(gripper_m / robot.gripper.opening_per_joint_m)
    return msg.RobotState(joint_state=JointState(name=names, position=values), is_diff=True)


def joint_goal(robot: RobotDescription, goal_rad: np.ndarray, tolerance_rad: float) -> Any:
    """Return Constraints that are met at joints (A,)."""
    msg, _ = import_moveit_msgs()
    return msg.Constraints(
        joint_constraints=[
            msg.JointConstraint(
                joint_name=name,
                position=float(value),
                tolerance_above=tolerance_rad,
                tolerance_below=tolerance_rad,
                weight=1.0,
            )
            for name, value in zip(robot.arm_joints, goal_rad)
        ]
    )


def path_of(trajectory: Any, robot: RobotDescription) -> np.ndarray:
    """Return the positions (K, A) of a RobotTrajectory in the order of the description.

    Raises:
        PlanningError: it is empty or lacks a joint.
    """
    planned = trajectory.joint_trajectory
    names = list(planned.joint_names)
    missing = [name for name in robot.arm_joints if name not in names]
    if missing or not planned.points:
        raise PlanningError(f"MoveIt's plan has {len(planned.points)} points and lacks {missing}")
    columns = [names.index(name) for name in robot.arm_joints]
    return np.array([np.array(point.positions)[columns] for point in planned.points])


def pose_message(transform: np.ndarray) -> Pose:
    """Return the message of T (4, 4)."""
    place, quat = se3.to_quat_xyzw(transform)
    return Pose(
        position=Point(**dict(zip("xyz", map(float, place)))),
        orientation=Quaternion(**dict(zip("xyzw", map(float, quat)))),
    )


def planning_scene(scene: PlanningScene, robot: RobotDescription, known: set[str]) -> Any:
    """Return PlanningScene, a difference, with our obstacles and without those of before.

    Args:
        scene: boxes become boxes, points become one object of small boxes.
        robot: its base frame is that of the obstacles.
        known: names of obstacles that MoveIt may have of us; updated.
    """
    msg, _ = import_moveit_msgs()
    objects = [(box.name, [(box.size_m, box.T_base_box)]) for box in scene.boxes]
    if len(scene.points_m):
        edges, cubes = (scene.voxel_m,) * 3, []
        for point in scene.points_m:
            pose = np.eye(4)
            pose[:3, 3] = point
            cubes.append((edges, pose))
        objects.append((POINTS, cubes))
    now = {_id(name) for name, _ in objects}
    messages = [_removal(msg, name, robot) for name in sorted(known - now)]
    messages += [_object(msg, name, parts, robot) for name, parts in objects]
    known.clear()
    known.update(now)
    return msg.PlanningScene(
        is_diff=True,
        robot_state=msg.RobotState(is_diff=True),
        world=msg.PlanningSceneWorld(collision_objects=messages),
    )


def _id(name: str) -> str:
    return f"mu0/{name}"


def _object(msg: ModuleType, name: str, parts: list, robot: RobotDescription) -> Any:
    message = msg.CollisionObject(id=_id(name), operation=msg.CollisionObject.ADD)
    message.header.frame_id = robot.base_frame
    message.pose = pose_message(np.eye(4))
    for size, pose in parts:
        message.primitives.append(
            SolidPrimitive(type=SolidPrimitive.BOX, dimensions=list(map(float, size)))
        )
        message.primitive_poses.append(pose_message(pose))
    return message


def _removal(msg: ModuleType, identity: str, robot: RobotDescription) -> Any:
    message = msg.CollisionObject(id=identity, operation=msg.CollisionObject.REMOVE)
    message.header.frame_id = robot.base_frame
    return message
