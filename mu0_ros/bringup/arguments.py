# SPDX-License-Identifier: Apache-2.0
"""The arguments of ``mu0.launch.py``: names, defaults, choices, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass

from mu0_core.planning.planner import PLANNERS

SIMULATIONS = ("mujoco", "gazebo", "mock", "real")
SWITCH = ("true", "false")
NAMESPACE = "mu0"  # alone on its machine: it keeps the global /clock and frames without a prefix


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument; an empty default means "not given" and beats no file of the user."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] | None = None


ARGUMENTS = (
    Argument("robot", "", "arm: file in config/robots, or its path; not given: as params_file"),
    Argument("sim", "mujoco", "where the arm is: simulated, tracking alone, or real", SIMULATIONS),
    Argument("model", "", "world model in the registry; not given: as params_file says"),
    Argument("action_expert", "", "model id, or geometric; not given: the robot's own"),
    Argument("planner", "", "around obstacles; not given: as params_file says", ("", *PLANNERS)),
    Argument("dry_run", "", "check, command nothing; not given: true on real", ("", *SWITCH)),
    Argument("armed", "false", "must be true for dry_run:=false on a real arm", SWITCH),
    Argument("speed_scale", "", "share of the speed limits; not given: 0.1 on real"),
    Argument("camera", "", "file in config/cameras, or its path; not given: as sim and robot say"),
    Argument("namespace", NAMESPACE, "of all nodes"),
    Argument("driver_namespace", "", "of the drivers' topics; not given: namespace; / = none"),
    Argument("frame_prefix", "", "of all frames; not given: none, or namespace/ in simulations"),
    Argument("params_file", "", "node parameters; not given: config/mu0.yaml"),
    Argument("use_sim_time", "", "time from /clock; not given: as sim says", ("", *SWITCH)),
    Argument("seed", "", "scene of sim:=mujoco at the start; not given: as params_file says"),
    Argument("world", "", "SDF file of sim:=gazebo; not given: config/gazebo/table.sdf"),
    Argument("rviz", "false", "start RViz with traces, image, arm and frames", SWITCH),
    Argument("record", "false", "record the topics of the contract to MCAP", SWITCH),
    Argument("record_dir", "recordings", "folder of the recordings"),
)
