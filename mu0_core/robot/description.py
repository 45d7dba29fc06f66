# SPDX-License-Identifier: Apache-2.0
"""One arm, read from one YAML file and the URDF it names.

Limits come from the URDF times the fractions in the YAML, never from a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import yaml

from mu0_core.errors import ConfigError
from mu0_core.geometry import se3
from mu0_core.paths import ASSETS, config_file
from mu0_core.robot.capsule_model import CapsuleModel, capsule_model


@dataclass(frozen=True, slots=True)
class Joint:
    """One URDF joint between ``parent`` and ``child``; ``axis`` is in the child frame."""

    name: str
    kind: str
    parent: str
    child: str
    origin: np.ndarray
    axis: np.ndarray
    lower: float
    upper: float
    velocity: float


@dataclass(frozen=True, slots=True)
class Gripper:
    """A gripper: its joint and the opening in metres that joint position means.

    Openings count from the joint's zero, where the fingers are ``gap_at_zero_m`` apart. With a
    ``fixed_finger`` the tip frame lies on the pad of the finger that stands still, and the other
    one moves along +y of the tip; without, both move and the tip is between them. The fingers
    may end ``beyond_tip_m`` behind the tip.
    """

    joint: str
    opening_per_joint_m: float
    open_m: float
    closed_m: float
    speed_m_s: float
    gap_at_zero_m: float = 0.0
    fixed_finger: bool = False
    beyond_tip_m: float = 0.0

    def gap_m(self, opening_m: float | np.ndarray) -> float | np.ndarray:
        """Return how far the fingers are apart at an opening."""
        return opening_m + self.gap_at_zero_m

    def centre_m(self, opening_m: float | np.ndarray) -> float | np.ndarray:
        """Return where the middle between the fingers is, along y of the tip frame."""
        return self.gap_m(opening_m) * (0.5 if self.fixed_finger else 0.0)


@dataclass(frozen=True, slots=True)
class JointLimits:
    """What commands may use, per arm joint (A,): rad, rad/s, rad/s^2, rad/s^3."""

    lower_rad: np.ndarray
    upper_rad: np.ndarray
    velocity_rad_s: np.ndarray
    acceleration_rad_s2: np.ndarray
    jerk_rad_s3: np.ndarray


@dataclass(frozen=True, slots=True)
class RobotDescription:
    """An arm: chain from base to tip, limits, home pose, gripper, workspace, controller names.

    ``rotation_slack_rad`` is how far the tip may be turned away from a wanted pose: 0 for arms
    that reach any orientation, more for arms with fewer than six joints. ``action_expert`` and
    ``camera`` are what the arm is used with unless told otherwise: a model id, and a name in
    ``config/cameras`` or a path. ``work_scale`` is the size of what it handles against the demo
    table's; ``simulation`` is read by `mu0_core.simulation.simulated_arm`.
    Without ``collision`` the arm's body is not checked.
    """

    name: str
    urdf_path: Path
    base_frame: str
    tip_frame: str
    arm_joints: tuple[str, ...]
    home_rad: np.ndarray
    limits: JointLimits
    gripper: Gripper
    arm_controller: str
    gripper_controller: str
    workspace_min_m: np.ndarray
    workspace_max_m: np.ndarray
    floor_m: float
    chain: tuple[Joint, ...]
    rotation_slack_rad: float = 0.0
    action_expert: str = "geometric"
    camera: str = "realsense"
    work_scale: float = 1.0
    simulation: Mapping[str, Any] = field(default_factory=dict)
    collision: CapsuleModel | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.rotation_slack_rad <= np.pi:
            raise ConfigError(f"rotation_slack_rad {self.rotation_slack_rad}: allowed 0 to pi")
        if not 0.05 <= self.work_scale <= 5.0:
            raise ConfigError(f"work_scale {self.work_scale}: allowed 0.05 to 5")
        if self.home_rad.shape != (len(self.arm_joints),):
            raise ConfigError(
                f"home_rad has {self.home_rad.size} numbers for {len(self.arm_joints)} joints"
            )


def read_urdf_joints(path: Path) -> dict[str, Joint]:
    """Return the joints of a URDF by the name of their child link.

    Raises:
        ConfigError: the file is missing or is not a URDF.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ConfigError(f"cannot read URDF {path}: {error}") from error
    joints = {}
    for element in root.findall("joint"):
        parent, child = element.find("parent"), element.find("child")
        if parent is None or child is None:
            continue
        origin = element.find("origin")
        xyz, rpy = (
            [
                float(x)
                for x in (origin.get(key, "0 0 0") if origin is not None else "0 0 0").split()
            ]
            for key in ("xyz", "rpy")
        )
        axis = element.find("axis")
        limit = element.find("limit")
        bounds = (
            {k: float(limit.get(k, "inf")) for k in ("lower", "upper", "velocity")}
            if limit is not None
            else {}
        )
        joints[child.get("link", "")] = Joint(
            name=element.get("name", ""),
            kind=element.get("type", "fixed"),
            parent=parent.get("link", ""),
            child=child.get("link", ""),
            origin=se3.from_rpy(np.array(xyz), np.array(rpy)),
            axis=np.array([float(x) for x in axis.get("xyz", "1 0 0").split()])
            if axis is not None
            else np.array([1.0, 0.0, 0.0]),
            lower=bounds.get("lower", -np.inf),
            upper=bounds.get("upper", np.inf),
            velocity=bounds.get("velocity", np.inf),
        )
    return joints


def _urdf_path(name: str, description: Path) -> Path:
    """Return the file: absolute, beside the description if it begins with ``./``, or ours."""
    if name.startswith("./"):
        return description.resolve().parent / name
    return Path(name) if Path(name).is_absolute() else ASSETS / name


def _optional(data: dict[str, Any]) -> dict[str, Any]:
    """Return what a description may leave out."""
    kinds = {
        "rotation_slack_rad": float,
        "action_expert": str,
        "camera": str,
        "work_scale": float,
        "simulation": dict,
    }
    return {name: kind(data[name]) for name, kind in kinds.items() if name in data}


def _collision(data: dict[str, Any], joints: dict[str, Joint]) -> CapsuleModel | None:
    """Return the arm's body, if the description has one."""
    if "collision" not in data:
        return None
    chain = _chain(joints, data["base_frame"], data["tip_frame"])
    links = [data["base_frame"], *(joint.child for joint in chain)]
    return capsule_model(data["collision"], links)


def _chain(joints: dict[str, Joint], base: str, tip: str) -> tuple[Joint, ...]:
    chain: list[Joint] = []
    link = tip
    while link != base:
        if link not in joints:
            raise ConfigError(
                f"no chain from {base!r} to {tip!r}: link {link!r} has no parent joint"
            )
        chain.append(joints[link])
        link = joints[link].parent
    return tuple(reversed(chain))


def load_robot(name_or_path: str) -> RobotDescription:
    """Read ``config/robots/<name>.yaml``, or the YAML file at a path.

    Raises:
        ConfigError: a key is missing or a name in the YAML is not in the URDF.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = config_file(f"robots/{name_or_path}.yaml")
    try:
        data = yaml.safe_load(path.read_text())
        urdf_path = _urdf_path(data["urdf"], path)
        joints = read_urdf_joints(urdf_path)
        by_name = {joint.name: joint for joint in joints.values()}
        names = tuple(data["arm_joints"])
        unknown = [n for n in (*names, data["gripper"]["joint"]) if n not in by_name]
        if unknown:
            raise ConfigError(
                f"{path}: joints {unknown} are not in {urdf_path}; it has {sorted(by_name)}"
            )
        arm = [by_name[n] for n in names]
        margin = float(data["limits"]["position_margin_rad"])
        ones = np.ones(len(arm))
        limits = JointLimits(
            lower_rad=np.array([j.lower for j in arm]) + margin,
            upper_rad=np.array([j.upper for j in arm]) - margin,
            velocity_rad_s=np.array([j.velocity for j in arm])
            * float(data["limits"]["velocity_scale"]),
            acceleration_rad_s2=ones * float(data["limits"]["acceleration_rad_s2"]),
            jerk_rad_s3=ones * float(data["limits"]["jerk_rad_s3"]),
        )
        return RobotDescription(
            name=data["name"],
            urdf_path=urdf_path,
            base_frame=data["base_frame"],
            tip_frame=data["tip_frame"],
            arm_joints=names,
            home_rad=np.array(data["home_rad"], dtype=float),
            limits=limits,
            gripper=Gripper(**data["gripper"]),
            arm_controller=data["controllers"]["arm"],
            gripper_controller=data["controllers"]["gripper"],
            workspace_min_m=np.array(data["workspace"]["min_m"], dtype=float),
            workspace_max_m=np.array(data["workspace"]["max_m"], dtype=float),
            floor_m=float(data["floor_m"]),
            chain=_chain(joints, data["base_frame"], data["tip_frame"]),
            collision=_collision(data, joints),
            **_optional(data),
        )
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
