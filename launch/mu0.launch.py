# SPDX-License-Identifier: Apache-2.0
"""The stack for any arm in any world: ``ros2 launch mu0 mu0.launch.py robot:=fr3 sim:=mujoco``.

``--show-args`` lists the arguments. What follows from them is decided in ``mu0_ros/bringup``; this
file only hands it to `launch`. Then ask for a task:
``ros2 service call /mu0/execute_task mu0/srv/ExecuteTask "{instruction: 'press the button'}"``
"""

import os
import tempfile
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from mu0_ros.bringup.arguments import ARGUMENTS
from mu0_ros.bringup.gazebo import plan_gazebo, world_file
from mu0_ros.bringup.plan import Process, plan_frames, plan_nodes, plan_record
from mu0_ros.bringup.request import Request, read_request
from mu0_ros.bringup.rviz import plan_rviz


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; everything else follows when they are known."""
    profile = Path(get_package_share_directory("mu0")) / "config" / "fastdds_shm.xml"
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    argument.name,
                    default_value=argument.default,
                    description=argument.description,
                    choices=list(argument.choices) if argument.choices else None,
                )
                for argument in ARGUMENTS
            ),
            SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", str(profile)),
            OpaqueFunction(function=start),
        ]
    )


def start(context: LaunchContext) -> list:
    """Return what is started for the arguments of this launch."""
    own = {argument.name for argument in ARGUMENTS}
    given = context.launch_configurations
    request = read_request({name: given[name] for name in own})
    folder = Path(tempfile.mkdtemp(prefix="mu0_launch_"))
    actions = [node(process) for process in plan_nodes(request)]
    if request.sim in ("mujoco", "mock"):
        actions.append(node(plan_frames(request, request.robot.urdf_path.read_text())))
    if request.sim == "gazebo":
        actions += gazebo(request, folder)
    if request.is_on("rviz"):
        actions.append(node(plan_rviz(request, folder)))
    if request.is_on("record"):
        actions.append(node(plan_record(request)))
    return actions


def gazebo(request: Request, folder: Path) -> list:
    """Return Gazebo with the world, and what goes with it."""
    world = world_file(request, folder)
    models = Path(get_package_share_directory("mu0")).parent  # package://mu0/... of the meshes
    paths = [str(models), *filter(None, [os.environ.get("GZ_SIM_RESOURCE_PATH")])]
    simulator = Path(get_package_share_directory("ros_gz_sim")) / "launch" / "gz_sim.launch.py"
    partition = request.namespace or "mu0"
    return [
        SetEnvironmentVariable("GZ_SIM_RESOURCE_PATH", os.pathsep.join(paths)),
        SetEnvironmentVariable("GZ_PARTITION", partition),  # two Gazebos do not hear each other
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(simulator)),
            launch_arguments=[("gz_args", f"-r {world}"), ("on_exit_shutdown", "true")],
        ),
        *(node(process) for process in plan_gazebo(request, folder, world)),
    ]


def node(process: Process) -> Node:
    """Return the action that starts a process."""
    values = {
        name: ParameterValue(value, value_type=str) if isinstance(value, str) else value
        for name, value in process.parameters.items()
    }
    return Node(
        package=process.package,
        executable=process.executable,
        name=process.name,
        namespace=process.namespace,
        parameters=[*map(str, process.files), *filter(None, [values])],
        remappings=list(process.remappings.items()),
        arguments=list(process.arguments),
        output="screen",
    )
