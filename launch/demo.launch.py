# SPDX-License-Identifier: Apache-2.0
"""Simulated arm, camera and table with the whole stack: ``ros2 launch mu0 demo.launch.py``.

Arguments: namespace, use_sim_time, params_file, dry_run, seed. Then ask for a task:
``ros2 service call /mu0/execute_task mu0/srv/ExecuteTask "{instruction: 'put the red cube in the bowl'}"``
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

NODES = ("simulator", "trace_forecaster", "action_expert", "safety_gate", "task_server", "visualizer")


def generate_launch_description() -> LaunchDescription:
    """Declare arguments and start one process per node."""
    config = Path(get_package_share_directory("mu0")) / "config"
    own = {
        "simulator": {"seed": ParameterValue(LaunchConfiguration("seed"), value_type=int)},
        "safety_gate": {"dry_run": ParameterValue(LaunchConfiguration("dry_run"), value_type=bool)},
    }
    use_sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    nodes = [
        Node(
            package="mu0",
            executable=f"{name}_node",
            name=name,
            namespace=LaunchConfiguration("namespace"),
            parameters=[
                LaunchConfiguration("params_file"),
                {"use_sim_time": use_sim_time, **own.get(name, {})},
            ],
            output="screen",
        )
        for name in NODES
    ]
    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value="mu0", description="of all nodes"),
            DeclareLaunchArgument(
                "use_sim_time", default_value="true", description="time from the simulator's /clock"
            ),
            DeclareLaunchArgument(
                "params_file", default_value=str(config / "mu0.yaml"), description="node parameters"
            ),
            DeclareLaunchArgument(
                "dry_run", default_value="false", description="check chunks but command nothing"
            ),
            DeclareLaunchArgument("seed", default_value="50000", description="scene at the start"),
            SetEnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE", str(config / "fastdds_shm.xml")
            ),
            *nodes,
        ]
    )
