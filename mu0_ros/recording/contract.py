# SPDX-License-Identifier: Apache-2.0
"""The topics of a recording, by the names that our nodes have for them. Imports no ROS."""

from __future__ import annotations

from mu0_core.robot.description import RobotDescription

CAMERA_TOPICS = ("color/image_raw", "depth/image_raw", "color/camera_info")
CONTRACT = (
    *CAMERA_TOPICS,
    "camera_pose",
    "joint_states",
    "query_points",
    "traces",
    "traces/markers",  # what viewers show that do not know TraceArray
    "action_chunk",
    "faults",
    "task_status",
    "safety_status",
    "model_info",
    "model_info_action",
    "/tf",
    "/tf_static",
    "/diagnostics",
    "/clock",
)
# Nodes whose parameters a replay must know.
NODES = ("trace_forecaster", "action_expert", "safety_gate", "task_server")


def command_topics(robot: RobotDescription) -> tuple[str, ...]:
    """Return the topics on which a robot is commanded."""
    return tuple(f"{c}/joint_trajectory" for c in (robot.arm_controller, robot.gripper_controller))


def recorded_topics(robot: RobotDescription, chosen: str = "") -> tuple[str, ...]:
    """Return what is recorded: names separated by commas, or without any the contract."""
    names = tuple(name.strip() for name in chosen.split(",") if name.strip())
    return names or (*CONTRACT, *command_topics(robot))
