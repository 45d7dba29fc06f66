# SPDX-License-Identifier: Apache-2.0
"""What the embedded simulator needs to know of an arm besides its URDF.

It stands in the optional part ``simulation`` of a robot description. Without that part an arm
stands at the demo table as it was laid out for the FR3, with servos as strong as an FR3's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from xml.etree import ElementTree

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.robot.description import RobotDescription


@dataclass(frozen=True, slots=True)
class SimulatedArm:
    """Table and servos of one arm.

    Attributes:
        table_scale: size of the table, of what lies on it and of its camera's distance.
        table_origin_m: (x, y) in the base frame of the point that is the FR3's base at size 1.
        arm_stiffness: N m/rad of each arm servo; the last counts for all further joints.
        arm_rate: stiffness over damping, 1/s: how fast a servo comes to its target.
        arm_torque: largest torque of an arm servo in N m, 0 = unlimited.
        armature: inertia of rotor and gears at each arm joint, kg m^2.
        finger_stiffness, finger_damping, finger_force: of the servos of the gripper's joints, in
            newtons and metres, or newton metres and radians where the joint turns.
        light_button: the button's cap goes into its housing without touching it. It does touch on
            the FR3's table, where it takes a strong arm; the shipped models were trained with it.
        finger_links: links that hold things besides those that the gripper's joints move.
    """

    table_scale: float = 1.0
    table_origin_m: tuple[float, float] = (0.0, 0.0)
    arm_stiffness: tuple[float, ...] = (4500.0, 4500.0, 3500.0, 3500.0, 2000.0)
    arm_rate: float = 10.0
    arm_torque: float = 0.0
    armature: float = 0.1
    finger_stiffness: float = 600.0
    finger_damping: float = 40.0
    finger_force: float = 40.0
    light_button: bool = False
    finger_links: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        positive = (
            self.table_scale, self.armature, self.finger_stiffness, self.finger_damping,
            self.finger_force, self.arm_rate, *self.arm_stiffness,
        )  # fmt: skip
        if not (self.arm_stiffness and min(positive) > 0 and self.arm_torque >= 0):
            raise ConfigError(f"simulation: sizes, stiffness and forces must be positive: {self}")
        if len(self.table_origin_m) != 2:
            raise ConfigError(f"simulation: table_origin_m {self.table_origin_m} must be x and y")


def simulated_arm(robot: RobotDescription) -> SimulatedArm:
    """Return what a robot description says about its simulation, checked.

    Raises:
        ConfigError: an unknown key, or a value that cannot be.
    """
    known = {field.name: field.default for field in fields(SimulatedArm)}
    unknown = sorted(set(robot.simulation) - set(known))
    if unknown:
        raise ConfigError(f"{robot.name}: simulation has no {unknown}; known: {sorted(known)}")
    try:
        given = {key: _like(known[key], value) for key, value in robot.simulation.items()}
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{robot.name}: simulation: {error}") from error
    return SimulatedArm(**given)


def _like(default: Any, value: Any) -> Any:
    """Return a YAML value in the kind of the default that it replaces."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise TypeError(f"{value!r} must be true or false")
        return value
    if not isinstance(default, tuple):
        return float(value)
    if isinstance(value, str | Mapping):
        raise TypeError(f"{value!r} must be a list")
    kind = float if default else str
    return tuple(kind(item) for item in value)


def finger_joints(robot: RobotDescription) -> tuple[str, ...]:
    """Return the gripper's joint and those that mimic it, in the order of the URDF."""
    root = ElementTree.parse(robot.urdf_path).getroot()
    found = []
    for joint in root.findall("joint"):
        mimic = joint.find("mimic")
        follows = mimic is not None and mimic.get("joint") == robot.gripper.joint
        if joint.get("name") == robot.gripper.joint or follows:
            found.append(joint.get("name", ""))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class TableFrame:
    """The demo table's own frame, in which layouts, tasks and the scripted expert work.

    Its metres are ``scale`` metres of the base frame, so that one layout fits arms of any reach.
    At scale 1 and origin 0 both frames are one, bit by bit.
    """

    scale: float = 1.0
    origin_m: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, arm: SimulatedArm) -> TableFrame:
        """Return the frame of the table that an arm stands at."""
        return cls(arm.table_scale, arm.table_origin_m)

    def to_base(self, position_m: np.ndarray) -> np.ndarray:
        """Return positions (..., 2 or 3) of the table frame in the base frame."""
        return self._origin(position_m) + self.scale * position_m

    def to_table(self, position_m: np.ndarray) -> np.ndarray:
        """Return positions (..., 2 or 3) of the base frame in the table frame."""
        return (position_m - self._origin(position_m)) / self.scale

    def _origin(self, position_m: np.ndarray) -> np.ndarray:
        return np.array([*self.origin_m, 0.0])[: np.shape(position_m)[-1]]
