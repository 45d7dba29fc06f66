# SPDX-License-Identifier: Apache-2.0
"""From a request to the processes that the launch file starts: names, parameters, remappings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mu0_core.cli.processes import NODES
from mu0_ros.bringup.cameras import TOPICS, camera_topics
from mu0_ros.bringup.request import REAL_ARMING_S, Request

STACK = tuple(name for name in NODES if name != "simulator")
WORLDS = {"mujoco": ("simulator",), "mock": ("mock_robot",), "gazebo": (), "real": ()}

# argument -> the nodes whose parameter it sets, its name there, its type
_GIVEN = {
    "model": (("trace_forecaster",), "model_id", str),
    "action_expert": (("action_expert",), "model_id", str),
    "planner": (("action_expert",), "planner", str),
    "dry_run": (("safety_gate",), "dry_run", bool),
    "speed_scale": (("safety_gate",), "speed_scale", float),
    "seed": (("simulator",), "seed", int),
}
_NAME_THE_ROBOT = ("simulator", "mock_robot", "action_expert", "safety_gate", "recorder")
_NAME_FRAMES = ("simulator", "mock_robot", "action_expert")
_READ_IMAGES = {
    "trace_forecaster": TOPICS,
    "visualizer": (TOPICS[0], TOPICS[2]),
    "recorder": TOPICS,
    "action_expert": TOPICS,  # with a planner: obstacles
}


@dataclass(frozen=True, slots=True)
class Process:
    """One node as it is started.

    Attributes:
        package, executable, name: of the node; namespace: without slashes at its ends.
        files: of parameters, which `parameters` beat.
        remappings: name in the node -> name on the wire.
        arguments: of the command line.
    """

    package: str
    executable: str
    name: str
    namespace: str
    files: tuple[Path, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


def plan_nodes(request: Request) -> list[Process]:
    """Return the nodes of this package for a request."""
    return [_node(request, name) for name in (*WORLDS[request.sim], *STACK)]


def plan_frames(request: Request, description: str) -> Process:
    """Return robot_state_publisher, which tells the frames of an arm from its URDF (a text)."""
    parameters = {
        "robot_description": description,
        "frame_prefix": request.frame_prefix,
        "use_sim_time": request.use_sim_time,
    }
    name = "robot_state_publisher"
    return Process(
        name, name, name, request.namespace, parameters=parameters, remappings=_clock(request)
    )


def plan_record(request: Request) -> Process:
    """Return our recorder, which knows the same names as the other nodes."""
    process = _node(request, "recorder")
    folder = {"out": request.values["record_dir"]}
    return replace(process, parameters={**process.parameters, **folder})


def _node(request: Request, name: str) -> Process:
    return Process(
        package="mu0",
        executable=f"{name}_node",
        name=name,
        namespace=request.namespace,
        files=(request.params_file,),
        parameters=_parameters(request, name),
        remappings=_remappings(request, name),
    )


def _parameters(request: Request, name: str) -> dict[str, Any]:
    """Return what the launch file decides; what was not given is left to the file of the user."""
    values: dict[str, Any] = {"use_sim_time": request.use_sim_time}
    if name == "simulator":
        values["use_sim_time"] = False  # it makes the clock
    if name in _NAME_THE_ROBOT:
        values["robot"] = request.robot_file
    if name in _NAME_FRAMES and request.frame_prefix:
        values["frame_prefix"] = request.frame_prefix
    if name == "mock_robot" and request.camera != "sim":
        values["camera"] = False  # a real one takes its place
    if name == "safety_gate" and request.sim == "real":
        values["arming_s"] = REAL_ARMING_S
    for argument, (nodes, parameter, kind) in _GIVEN.items():
        text = request.values[argument]
        if name in nodes and text:
            values[parameter] = text == "true" if kind is bool else kind(text)
    return values


def _remappings(request: Request, name: str) -> dict[str, str]:
    cameras, rules = camera_topics(request.camera), _clock(request)
    for topic in _READ_IMAGES.get(name, ()):
        rules[topic] = request.driver_topic(cameras[topic])
    if request.sim == "real":
        for topic in _driven(request):
            if name in ("safety_gate", "recorder") or (
                name == "action_expert" and topic == "joint_states"
            ):
                rules[topic] = _driver(request, topic)
    return {own: wire for own, wire in rules.items() if own != wire}


def _driven(request: Request) -> tuple[str, ...]:
    """Return the topics between our nodes and the driver of an arm."""
    robot = request.robot
    controllers = (robot.arm_controller, robot.gripper_controller)
    return ("joint_states", *(f"{name}/joint_trajectory" for name in controllers))


def _driver(request: Request, topic: str) -> str:
    return request.driver_topic(topic) if request.sim == "real" else topic


def _clock(request: Request) -> dict[str, str]:
    return {} if request.clock == "/clock" else {"/clock": request.clock}
