# SPDX-License-Identifier: Apache-2.0
"""The parameters of the action expert's node."""

from __future__ import annotations

from dataclasses import dataclass

from mu0_ros.camera_parameters import CameraParameters
from mu0_ros.obstacles import OBSTACLES
from mu0_ros.params import parameter


@dataclass(frozen=True)
class ActionExpertParameters(CameraParameters):
    """Parameters of the node."""

    robot: str = parameter("fr3", "name in config/robots or path of a robot description")
    model_id: str = parameter(
        "",
        "action expert in the registry, or geometric, which needs no training; empty: the one "
        "that the robot description names, else geometric",
    )
    frame_prefix: str = parameter("", "of the robot's frames in tf, such as left/")
    device: str = parameter("cpu", "torch device")
    backend: str = parameter("model", "model, or fake (a small motion, for tests)")
    fake_fault: str = parameter("", "fault of the fake backend, see mu0_core/testing/fakes.py")
    seed: int = parameter(0, "of the action noise", low=0, high=2**31)
    max_state_age_s: float = parameter(
        0.25, "oldest joint states to act from", unit="s", low=0.01, high=5.0
    )
    max_trace_age_s: float = parameter(
        3.0, "oldest forecast to act on", unit="s", low=0.05, high=30.0
    )
    inference_timeout_s: float = parameter(
        30.0, "leave a proposal behind that hangs for so long", unit="s", low=0.5, high=600.0
    )
    transform_source: str = parameter(
        "auto",
        "tf2, topic (camera_pose), static (parameters camera_frame and camera_pose), or auto: "
        "tf2 where it is installed, else topic",
    )
    planner: str = parameter(
        "none",
        "checks chunks before they are published and plans the way home: none, roboplan, "
        "move_group or moveit_py (docs/how-to/plan-around-obstacles.md)",
    )
    planning_group: str = parameter("", "of the arm in MoveIt's SRDF; for move_group, moveit_py")
    moveit_params: str = parameter("", "file with MoveIt's parameters; for moveit_py")
    planning_time_s: float = parameter(
        3.0, "longest search for a path", unit="s", low=0.1, high=60.0
    )
    obstacles: str = parameter("", f"{OBSTACLES}; give the safety gate the same")
    see_obstacles: bool = parameter(
        True, "the planner avoids what the depth camera sees; false: the floor and the arm alone"
    )
    obstacle_voxel_m: float = parameter(
        0.01, "edge of the cubes that depth is made of", unit="m", low=0.005, high=0.1
    )
    contact_m: float = parameter(
        0.06,
        "points so near to what is to be touched are no obstacles",
        unit="m",
        low=0.005,
        high=0.5,
    )
    max_obstacle_age_s: float = parameter(
        1.0, "oldest depth image to see obstacles in", unit="s", low=0.05, high=10.0
    )
