# SPDX-License-Identifier: Apache-2.0
"""Simulated arm, camera and table with the whole stack: ``ros2 launch mu0 demo.launch.py``.

Arguments: namespace, use_sim_time, params_file, simulator, dry_run, seed. Then ask for a task:
``ros2 service call /mu0/execute_task mu0/srv/ExecuteTask "{instruction: 'press the button'}"``
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from mu0_core.cli.processes import NODES

# launch argument -> the node whose parameter it sets, and its type
OWN = {"seed": ("simulator", int), "dry_run": ("safety_gate", bool)}


def generate_launch_description() -> LaunchDescription:
    """Declare arguments and start one process per node."""
    config = Path(get_package_share_directory("mu0")) / "config"
    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value="mu0", description="of all nodes"),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="true",
                description="time from the simulator's /clock",
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(config / "mu0.yaml"),
                description="node parameters",
            ),
            DeclareLaunchArgument(
                "simulator",
                default_value="true",
                choices=["true", "false"],
                description="false: a real camera and arm, or a simulator of your own",
            ),
            DeclareLaunchArgument(
                "dry_run",
                default_value="",
                description="check chunks but command nothing; not given: as params_file says",
            ),
            DeclareLaunchArgument(
                "seed",
                default_value="",
                description="scene at the start; not given: as params_file says",
            ),
            SetEnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE", str(config / "fastdds_shm.xml")
            ),
            OpaqueFunction(function=start_nodes),
        ]
    )


def start_nodes(context: LaunchContext) -> list[Node]:
    """Return the nodes. An argument that was not given must not beat the file of the user."""
    given = context.launch_configurations
    nodes = []
    for name in NODES:
        if name == "simulator" and given["simulator"] == "false":
            continue
        use_sim_time = LaunchConfiguration("use_sim_time")
        values = {"use_sim_time": ParameterValue(use_sim_time, value_type=bool)}
        for argument, (owner, kind) in OWN.items():
            if owner == name and given[argument]:
                values[argument] = ParameterValue(LaunchConfiguration(argument), value_type=kind)
        nodes.append(
            Node(
                package="mu0",
                executable=f"{name}_node",
                name=name,
                namespace=LaunchConfiguration("namespace"),
                parameters=[LaunchConfiguration("params_file"), values],
                output="screen",
            )
        )
    return nodes
