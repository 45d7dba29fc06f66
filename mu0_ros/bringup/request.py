# SPDX-License-Identifier: Apache-2.0
"""What was asked of the launch file, checked: the arguments as one frozen object.

Here stand the rules that follow from several arguments: what is refused on a real arm, which clock
and which frames a namespace has, what a file of the user decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mu0_core.errors import ConfigError
from mu0_core.paths import config_file
from mu0_core.robot.description import RobotDescription, load_robot
from mu0_ros.bringup.arguments import ARGUMENTS, NAMESPACE

REAL_SPEED_SCALE = "0.1"  # the first motions of a real arm are slow
REAL_ARMING_S = 1.0  # a real arm moves when its joint states have been healthy for so long
_SIMULATED_TIME = ("mujoco", "gazebo")


@dataclass(frozen=True, slots=True)
class Request:
    """Arguments with their defaults, and the robot that they name; `values` are texts."""

    values: Mapping[str, str]
    robot_file: str
    robot: RobotDescription
    params_file: Path

    @property
    def sim(self) -> str:
        """Where the arm is."""
        return self.values["sim"]

    @property
    def namespace(self) -> str:
        """Namespace without slashes at its ends."""
        return self.values["namespace"].strip("/")

    @property
    def is_alone(self) -> bool:
        """Say whether this robot has the machine-wide names for itself."""
        return self.namespace in (NAMESPACE, "")

    @property
    def use_sim_time(self) -> bool:
        """Say whether time comes from the clock topic."""
        given = self.values["use_sim_time"]
        return given == "true" if given else self.sim in _SIMULATED_TIME

    @property
    def clock(self) -> str:
        """Name of the clock topic: each simulated robot has its own."""
        return "/clock" if self.is_alone or self.sim == "real" else f"/{self.namespace}/clock"

    @property
    def frame_prefix(self) -> str:
        """Prefix of the robot's frames; those of a real arm are its driver's affair."""
        given = self.values["frame_prefix"]
        if given or self.is_alone or self.sim == "real":
            return given
        return f"{self.namespace}/"

    @property
    def camera(self) -> str:
        """Preset of the camera."""
        return self.values["camera"] or (self.robot.camera if self.sim == "real" else "sim")

    def absolute(self, topic: str) -> str:
        """Return a topic of this robot with its namespace."""
        if topic.startswith("/"):
            return topic
        return f"/{self.namespace}/{topic}" if self.namespace else f"/{topic}"

    def driver_topic(self, topic: str) -> str:
        """Return what our nodes call a driver's topic; relative without ``driver_namespace``."""
        given = self.values["driver_namespace"]
        if not given:
            return topic
        return f"/{given.strip('/')}/{topic}".replace("//", "/")

    def is_on(self, switch: str) -> bool:
        """Say whether an argument is true."""
        return self.values[switch] == "true"


def read_request(given: Mapping[str, str]) -> Request:
    """Return the checked request.

    Raises:
        ConfigError: an unknown argument or choice, no such robot or file, or an arm that would
            move although nobody said so.
    """
    known = {argument.name: argument for argument in ARGUMENTS}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError(f"unknown arguments {unknown}; known: {', '.join(known)}")
    values = {name: given.get(name, argument.default) for name, argument in known.items()}
    for name, argument in known.items():
        if argument.choices and values[name] not in argument.choices:
            choices = ", ".join(choice for choice in argument.choices if choice)
            raise ConfigError(f"{name}:={values[name]}: allowed are {choices}")
    params_file = Path(values["params_file"] or config_file("mu0.yaml"))
    if values["sim"] == "real":
        _hold_back(values, params_file)
    robot_file = values["robot"] or _robot_of(params_file)
    return Request(values, robot_file, load_robot(robot_file), params_file)


def _hold_back(values: dict[str, str], params_file: Path) -> None:
    """Make a real arm stand still and slow unless it was said twice that it shall move."""
    values["dry_run"] = values["dry_run"] or "true"
    values["speed_scale"] = values["speed_scale"] or REAL_SPEED_SCALE
    if values["dry_run"] == "false" and values["armed"] != "true":
        raise ConfigError(
            "sim:=real dry_run:=false would move the arm: say armed:=true as well, after the dry "
            "run of docs/how-to/run-on-your-camera.md and with the emergency stop at hand"
        )
    if values["dry_run"] == "true":  # some order of keys in the file would beat the argument
        for key, parameters in _blocks(params_file).items():
            if parameters.get("dry_run", True) is not True:
                raise ConfigError(
                    f"{params_file} says dry_run: {parameters['dry_run']} under {key}; with "
                    "sim:=real only the arguments dry_run:=false armed:=true can say that"
                )


def _blocks(params_file: Path) -> dict[str, dict[str, Any]]:
    """Return the parameters of a file by the key that says for which nodes they are.

    Raises:
        ConfigError: the file cannot be read or is not a file of parameters.
    """
    try:
        data = yaml.safe_load(params_file.read_text()) or {}
        return {str(key): dict(block["ros__parameters"]) for key, block in data.items()}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read params_file {params_file}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"params_file {params_file}: expected KEY: {{ros__parameters: {{...}}}}, got {error!r}"
        ) from error


def _robot_of(params_file: Path) -> str:
    """Return the robot that a file of parameters names for all nodes; without one, ours."""
    for path in (params_file, config_file("mu0.yaml")):
        everyone = _blocks(path).get("/**", {})
        if "robot" in everyone:
            return str(everyone["robot"])
    raise ConfigError(f"{params_file} names no robot: say robot:=NAME")
