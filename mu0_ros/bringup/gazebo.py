# SPDX-License-Identifier: Apache-2.0
"""What ``sim:=gazebo`` adds to the stack: world, bridge, arm with gz_ros2_control, controllers.

All of it follows from the robot description and the world file; nothing is written by hand for an
arm. The tests check what can be checked without Gazebo; none of them runs Harmonic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml
from scipy.spatial.transform import Rotation

from mu0_core.errors import ConfigError
from mu0_core.gazebo.world_file import OPTICAL_FRAME, camera_pose
from mu0_core.paths import config_file
from mu0_core.robot.description import RobotDescription
from mu0_ros.bringup.plan import Process, plan_frames
from mu0_ros.bringup.request import Request

CONTROLLER_RATE_HZ = 250
_TRAJECTORY = "joint_trajectory_controller/JointTrajectoryController"
_BROADCASTER = "joint_state_broadcaster"


def controller_parameters(request: Request) -> dict[str, Any]:
    """Return the parameters of controller_manager and of the controllers of a robot."""
    robot = request.robot
    groups = {
        robot.arm_controller: list(robot.arm_joints),
        robot.gripper_controller: [robot.gripper.joint],
    }
    kinds = {_BROADCASTER: f"{_BROADCASTER}/JointStateBroadcaster"}
    kinds |= dict.fromkeys(groups, _TRAJECTORY)
    nodes: dict[str, Any] = {
        "controller_manager": {
            "update_rate": CONTROLLER_RATE_HZ,
            **{name: {"type": kind} for name, kind in kinds.items()},
        }
    }
    for name, joints in groups.items():
        nodes[name] = {
            "joints": joints,
            "command_interfaces": ["position"],
            "state_interfaces": ["position", "velocity"],
            "allow_nonzero_velocity_at_trajectory_end": False,
            "interpolate_from_desired_state": True,  # the gate's motions join what was commanded
        }
    return {
        request.absolute(name): {"ros__parameters": {"use_sim_time": True, **values}}
        for name, values in nodes.items()
    }


def mimic_joints(robot: RobotDescription) -> list[str]:
    """Return the joints of an arm's URDF that follow another one."""
    root = ElementTree.parse(robot.urdf_path).getroot()
    return [j.get("name", "") for j in root.findall("joint") if j.find("mimic") is not None]


def robot_description(request: Request, controllers: Path) -> str:
    """Return the URDF of the arm for Gazebo.

    Raises:
        ConfigError: xacro is not installed, or cannot expand the file.
    """
    try:
        import xacro
    except ImportError as error:
        raise ConfigError(
            "sim:=gazebo needs xacro: apt install ros-jazzy-xacro, or pip install xacro"
        ) from error
    mappings = {
        "robot_file": str(robot_file(request.robot_file)),
        "urdf": str(request.robot.urdf_path),
        "followers": ",".join(mimic_joints(request.robot)),
        "controllers": str(controllers),
        "namespace": request.namespace,
    }
    try:
        document = xacro.process_file(str(config_file("gazebo/arm.urdf.xacro")), mappings=mappings)
    except xacro.XacroException as error:
        raise ConfigError(f"xacro: {error}") from error
    return document.toxml()


def robot_file(name_or_path: str) -> Path:
    """Return the file of a robot by name in config/robots, or the path itself."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return path
    return config_file(f"robots/{name_or_path}.yaml")


def world_file(request: Request, folder: Path) -> Path:
    """Return the world; with a prefix of frames a copy in a folder, whose camera has it too."""
    world = Path(request.values["world"] or config_file("gazebo/table.sdf"))
    camera_pose(world)  # refuse a world without our camera now, not when images fail to come
    if not request.frame_prefix:
        return world
    copy = folder / "world.sdf"
    prefixed = request.frame_prefix + OPTICAL_FRAME
    copy.write_text(world.read_text().replace(f">{OPTICAL_FRAME}<", f">{prefixed}<"))
    return copy


def plan_gazebo(request: Request, folder: Path, world: Path) -> list[Process]:
    """Return the processes beside Gazebo itself; files that they need go into a folder."""
    controllers = folder / "controllers.yaml"
    controllers.write_text(yaml.safe_dump(controller_parameters(request), sort_keys=False))
    robot, clock = request.robot, {} if request.is_alone else {"/clock": request.clock}
    names = (_BROADCASTER, robot.arm_controller, robot.gripper_controller)
    manager = request.absolute("controller_manager")
    spawn = ("-world", _world_name(world), "-topic", "robot_description", "-name", robot.name)
    parameters = {"use_sim_time": True}
    bridge = {"config_file": str(config_file("gazebo/bridge.yaml")), **parameters}
    name, space = "mu0", request.namespace
    control = ("--controller-manager", manager, "--param-file", str(controllers))
    return [
        plan_frames(request, robot_description(request, controllers)),
        Process("ros_gz_bridge", "parameter_bridge", f"{name}_bridge", space, (), bridge, clock),
        Process("ros_gz_sim", "create", f"{name}_spawn", space, (), parameters, {}, spawn),
        Process(
            "controller_manager",
            "spawner",
            f"{name}_spawner",
            space,
            arguments=(*names, *control),
        ),
        Process(
            "tf2_ros",
            "static_transform_publisher",
            f"{name}_camera",
            space,
            parameters=parameters,
            remappings=clock,
            arguments=_static_transform(request, world),
        ),
    ]


def _world_name(world: Path) -> str:
    element = ElementTree.parse(world).getroot().find("world")
    return element.get("name", "") if element is not None else ""


def _static_transform(request: Request, world: Path) -> tuple[str, ...]:
    pose, prefix = camera_pose(world), request.frame_prefix
    quat_xyzw = Rotation.from_matrix(pose[:3, :3]).as_quat()
    words: list[str] = []
    for name, value in zip(("x", "y", "z"), pose[:3, 3], strict=True):
        words += [f"--{name}", f"{value:.9f}"]
    for name, value in zip(("qx", "qy", "qz", "qw"), quat_xyzw, strict=True):
        words += [f"--{name}", f"{value:.9f}"]
    frames = (prefix + request.robot.base_frame, prefix + OPTICAL_FRAME)
    return (*words, "--frame-id", frames[0], "--child-frame-id", frames[1])
