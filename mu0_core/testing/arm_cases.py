# SPDX-License-Identifier: Apache-2.0
"""Proposals for tests of the safety gate, and what a controller makes of its answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.control.safety_gate import SafetyGate
from mu0_core.robot.description import RobotDescription, load_robot
from mu0_core.types import ActionChunk, JointTrajectory, Proprioception


def roomy_robot() -> RobotDescription:
    """Return the FR3 with more workspace than any task needs, whatever its YAML says today."""
    return replace(
        load_robot("fr3"),
        workspace_min_m=np.array([0.0, -0.6, 0.005]),
        workspace_max_m=np.array([0.85, 0.6, 0.9]),
        floor_m=0.0,
    )


def at(
    robot: RobotDescription,
    positions_rad: np.ndarray | None = None,
    now_ns: int = 0,
    gripper_m: float = 0.08,
) -> Proprioception:
    """Return joint states, at home unless told otherwise."""
    return Proprioception(
        robot.home_rad if positions_rad is None else positions_rad, None, gripper_m, now_ns
    )


def ready_gate(
    robot: RobotDescription, start_rad: np.ndarray | None = None, **settings: object
) -> SafetyGate:
    """Return a gate that has seen joint states at time 0."""
    gate = SafetyGate(robot, GateSettings(**settings))
    gate.observe(at(robot, start_rad), 0)
    return gate


def chunk_of(
    robot: RobotDescription,
    positions_rad: np.ndarray,
    now_ns: int = 0,
    sequence: int = 1,
    **fields: object,
) -> ActionChunk:
    """Return a chunk of steps 0.1 s apart, observed and starting now unless told otherwise."""
    fields = {
        "joint_names": robot.arm_joints,
        "gripper_m": None,
        "step_period_s": 0.1,
        "observation_ns": now_ns,
        "start_ns": now_ns,
        **fields,
    }
    return ActionChunk(
        positions_rad=np.asarray(positions_rad, dtype=float), sequence=sequence, **fields
    )


def reach(
    robot: RobotDescription,
    by_rad: float = 0.3,
    steps: int = 16,
    joint: int = 0,
    start_rad: np.ndarray | None = None,
) -> np.ndarray:
    """Return positions (steps, A) that move one joint evenly."""
    positions = np.tile(robot.home_rad if start_rad is None else start_rad, (steps, 1))
    positions[:, joint] += by_rad * np.arange(1, steps + 1) / steps
    return positions


@dataclass(frozen=True, slots=True)
class Commanded:
    """What a controller commands, sampled densely: arrays (K, A) at ``times_s`` (K,)."""

    times_s: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray
    accelerations: np.ndarray

    @property
    def mean_jerk(self) -> np.ndarray:
        """Mean jerk (K - 1, A) between samples: a step of the acceleration makes it huge."""
        return np.diff(self.accelerations, axis=0) / np.diff(self.times_s)[:, None]

    def broken_rule(self, robot: RobotDescription) -> str:
        """Name the first rule that is broken; empty = all are kept and the end is rest."""
        limits, tolerance = robot.limits, 1e-9
        rules = {
            "finite": np.isfinite(self.positions).all(),
            "lower limit": np.all(self.positions >= limits.lower_rad - tolerance),
            "upper limit": np.all(self.positions <= limits.upper_rad + tolerance),
            "velocity": np.all(np.abs(self.velocities) <= limits.velocity_rad_s),
            "acceleration": np.all(np.abs(self.accelerations) <= limits.acceleration_rad_s2),
            "jerk": np.all(np.abs(self.mean_jerk) <= limits.jerk_rad_s3 * (1 + 1e-6)),
            "rest at the end": not self.velocities[-1].any(),
        }
        return next((rule for rule, kept in rules.items() if not kept), "")


def commanded(
    robot: RobotDescription,
    trajectory: JointTrajectory,
    start_rad: np.ndarray,
    period_s: float = 0.002,
) -> Commanded:
    """Run a trajectory in a controller that stands at ``start_rad`` (A,)."""
    controller = JointTrajectoryController(robot.arm_joints)
    controller.set_initial(start_rad)
    controller.accept(trajectory, 0.0)
    return sampled(controller, 0.0, float(trajectory.times_s[-1]) + 0.05, period_s)


def sampled(
    controller: JointTrajectoryController, begin_s: float, end_s: float, period_s: float = 0.002
) -> Commanded:
    """Sample a controller densely."""
    times_s = np.arange(begin_s, end_s, period_s)
    columns = zip(*(controller.commanded(t) for t in times_s))
    return Commanded(times_s, *(np.array(column) for column in columns))
