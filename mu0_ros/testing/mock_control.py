# SPDX-License-Identifier: Apache-2.0
"""A real ros2_control with ``mock_components`` in the place of an arm; needs a Jazzy installation.

Makes a robot description with a ``ros2_control`` part and the controllers' parameters from a robot
description of ours, and starts robot_state_publisher, controller_manager and the controllers.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import yaml

from mu0_core.robot.description import RobotDescription
from mu0_ros.bringup.gazebo import controller_parameters
from mu0_ros.bringup.request import read_request

_BROADCASTER, _HARDWARE = "joint_state_broadcaster", "mock_arm"


def description(robot: RobotDescription, *, follows: bool = True) -> str:
    """Return the URDF with mock hardware.

    Args:
        robot: whose joints.
        follows: False = the joints do not follow their commands, as if the arm were blocked.
    """
    root = ElementTree.parse(robot.urdf_path).getroot()
    part = ElementTree.SubElement(root, "ros2_control", name=_HARDWARE, type="system")
    hardware = ElementTree.SubElement(part, "hardware")
    ElementTree.SubElement(hardware, "plugin").text = "mock_components/GenericSystem"
    ElementTree.SubElement(hardware, "param", name="calculate_dynamics").text = "true"
    if not follows:
        ElementTree.SubElement(hardware, "param", name="disable_commands").text = "true"
    opening = robot.gripper.open_m / robot.gripper.opening_per_joint_m
    starts = dict(zip(robot.arm_joints, robot.home_rad)) | {robot.gripper.joint: opening}
    for name, start in starts.items():
        joint = ElementTree.SubElement(part, "joint", name=name)
        ElementTree.SubElement(joint, "command_interface", name="position")
        state = ElementTree.SubElement(joint, "state_interface", name="position")
        ElementTree.SubElement(state, "param", name="initial_value").text = f"{start:.6f}"
        ElementTree.SubElement(joint, "state_interface", name="velocity")
    return ElementTree.tostring(root, encoding="unicode")


def controllers(robot: str, namespace: str) -> dict[str, dict]:
    """Return the parameters of controller_manager and of every controller, by full node name."""
    request = read_request({"robot": robot, "namespace": namespace.strip("/"), "sim": "mock"})
    parameters = controller_parameters(request)
    for values in parameters.values():
        values["ros__parameters"]["use_sim_time"] = False
    return parameters


class MockControl:
    """The processes. Use as a context manager.

    Args:
        robot: which arm.
        namespace: where they live, such as /mu0.
        domain_id: ROS_DOMAIN_ID of all.
        folder: for their files.
        follows: see `description`.
    """

    def __init__(
        self,
        robot: RobotDescription,
        namespace: str,
        domain_id: int,
        folder: Path,
        *,
        follows: bool = True,
    ) -> None:
        self._robot, self._namespace, self._folder = robot, namespace, folder
        self._env = {**os.environ, "ROS_DOMAIN_ID": str(domain_id)}
        self._processes: list[subprocess.Popen] = []
        self._parameters = folder / "controllers.yaml"
        tree = controllers(robot.name, namespace)
        self._parameters.write_text(yaml.safe_dump(tree, sort_keys=False))
        state = {"robot_description": description(robot, follows=follows)}
        self._description = folder / "robot_description.yaml"
        self._description.write_text(yaml.safe_dump({"/**": {"ros__parameters": state}}))

    def __enter__(self) -> MockControl:
        name = ("-r", f"__ns:={self._namespace}")
        self._start("robot_state_publisher", "robot_state_publisher", name, self._description)
        self._start("controller_manager", "ros2_control_node", name, self._parameters)
        robot = self._robot
        self.spawn(_BROADCASTER, robot.arm_controller, robot.gripper_controller)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGINT)
        for process in self._processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, package: str, program: str, words: tuple[str, ...], file: Path) -> None:
        command = ["ros2", "run", package, program, "--ros-args", *words]
        self._processes.append(
            subprocess.Popen([*command, "--params-file", str(file)], env=self._env)
        )

    def spawn(self, *names: str) -> None:
        """Load and activate controllers; returns when they are active."""
        command = ["ros2", "run", "controller_manager", "spawner", *names]
        manager = ["--controller-manager", f"{self._namespace}/controller_manager"]
        given = ["--param-file", str(self._parameters)]
        subprocess.run([*command, *manager, *given], env=self._env, check=True, timeout=60)

    def set_controller(self, name: str, state: str) -> None:
        """Set a controller ``active`` or ``inactive``, as an operator would."""
        self._control("set_controller_state", name, state)

    def set_hardware(self, state: str) -> None:
        """Set the hardware ``active`` or ``inactive``: a protective stop takes it away."""
        self._control("set_hardware_component_state", _HARDWARE, state)

    def _control(self, verb: str, *words: str) -> None:
        manager = ["-c", f"{self._namespace}/controller_manager"]
        command = ["ros2", "control", verb, *words, *manager]
        subprocess.run(command, env=self._env, check=True, timeout=30)
