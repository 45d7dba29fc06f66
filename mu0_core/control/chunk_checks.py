# SPDX-License-Identifier: Apache-2.0
"""Checks of a whole chunk before any motion. Each raises `ChunkRejected` with a code and a reason.

A chunk is untrusted input: nothing here takes time or memory that grows with what it claims to be.
"""

from __future__ import annotations

import numpy as np

from mu0_core.control.collision_check import FLOOR, Clearance
from mu0_core.control.gate_settings import GateSettings
from mu0_core.errors import Mu0Error
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics
from mu0_core.types import ActionChunk

_CLOCK_TOLERANCE_S = 0.05  # two clocks of one machine or a synchronised pair
_POSITION_TOLERANCE_RAD = 1e-9


class ChunkRejected(Mu0Error):
    """The chunk may not run; ``code`` names the constant of ``msg/ErrorCode.msg``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_form(chunk: ActionChunk, robot: RobotDescription, settings: GateSettings) -> None:
    """Check shape, names, counts and periods, in bounded time and memory."""
    names = chunk.joint_names
    if len(names) != len(robot.arm_joints) or set(names) != set(robot.arm_joints):
        raise ChunkRejected(
            "INVALID_REQUEST", f"joints {names[:16]} are not those of the arm {robot.arm_joints}"
        )
    for array in (chunk.positions_rad, chunk.gripper_m):
        if array is not None and getattr(getattr(array, "dtype", None), "kind", "") not in "fiu":
            raise ChunkRejected("INVALID_REQUEST", "positions must be arrays of numbers")
    shape = np.shape(chunk.positions_rad)
    if len(shape) != 2 or shape[1] != len(names) or not 1 <= shape[0] <= settings.max_steps:
        raise ChunkRejected(
            "INVALID_REQUEST",
            f"positions have shape {shape}, expected (1..{settings.max_steps}, {len(names)})",
        )
    if chunk.gripper_m is not None and np.shape(chunk.gripper_m) != (shape[0],):
        raise ChunkRejected(
            "INVALID_REQUEST",
            f"gripper has shape {np.shape(chunk.gripper_m)}, expected {shape[:1]}",
        )
    if not (np.isfinite(chunk.step_period_s) and 0.001 <= chunk.step_period_s <= 2.0):
        raise ChunkRejected(
            "INVALID_REQUEST", f"step period {chunk.step_period_s} s is outside [0.001, 2]"
        )
    if not 0 <= chunk.execute_steps <= shape[0]:
        raise ChunkRejected(
            "INVALID_REQUEST", f"execute_steps {chunk.execute_steps} is outside 0..{shape[0]}"
        )
    nominal_s = (chunk.execute_steps or shape[0]) * chunk.step_period_s
    if nominal_s > settings.max_duration_s:
        raise ChunkRejected(
            "INVALID_REQUEST",
            f"chunk would run for {nominal_s:.1f} s, at most {settings.max_duration_s}",
        )


def check_finite(chunk: ActionChunk) -> None:
    """Refuse NaN and infinity anywhere."""
    bad = ~np.isfinite(chunk.positions_rad)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ChunkRejected(
            "NON_FINITE_OUTPUT", f"position of step {row}, joint {column} is not finite"
        )
    if chunk.gripper_m is not None and not np.all(np.isfinite(chunk.gripper_m)):
        raise ChunkRejected("NON_FINITE_OUTPUT", "a gripper opening is not finite")


def check_ages(
    chunk: ActionChunk,
    state_ns: int,
    now_ns: int,
    allowed_s: float,
    settings: GateSettings,
) -> None:
    """Refuse a chunk of an old or future observation, or joint states that are.

    Args:
        chunk: carries the stamp of its observation.
        state_ns: stamp of the newest joint states.
        now_ns: on the clock of the stamps.
        allowed_s: age of the observation.
        settings: age of the joint states.
    """
    for name, stamp_ns, limit_s in (
        ("joint states are", state_ns, settings.max_state_age_s),
        ("observation is", chunk.observation_ns, allowed_s),
    ):
        age_s = (now_ns - stamp_ns) * 1e-9
        if not -_CLOCK_TOLERANCE_S <= age_s <= limit_s:
            raise ChunkRejected(
                "OBSERVATION_STALE", f"{name} {age_s:.3f} s old, allowed 0..{limit_s}"
            )


def check_order(chunk: ActionChunk, task_id: bytes, last_sequence: int) -> None:
    """Refuse a chunk that is older than the last one of the same task."""
    if chunk.task_id == task_id and chunk.sequence <= last_sequence:
        raise ChunkRejected(
            "DISCONTINUITY",
            f"chunk {chunk.sequence} came after chunk {last_sequence} of the same task",
        )


def check_prompt(late_s: float, settings: GateSettings) -> None:
    """Refuse a motion that joins one under way, but took so long to plan that the arm is gone.

    The controller would join it from a state that nobody has judged.
    """
    if late_s > settings.jitter_s:
        raise ChunkRejected(
            "OBSERVATION_STALE",
            f"the gate needed {late_s:.3f} s to judge while the arm moved on, allowed "
            f"{settings.jitter_s} s",
        )


def check_tracking(error_rad: float, settings: GateSettings) -> None:
    """Refuse to move an arm that is not where it was commanded to be."""
    if not error_rad <= settings.max_tracking_error_rad:
        raise ChunkRejected(
            "TRACKING_ERROR",
            f"arm is {error_rad:.3f} rad from the commanded state, allowed "
            f"{settings.max_tracking_error_rad}",
        )


def allowed_age_s(
    speed_rad_s: np.ndarray, robot: RobotDescription, settings: GateSettings
) -> float:
    """Return how old an observation may be for an arm at this speed (A,): the faster, the less."""
    share = min(1.0, float(np.max(np.abs(speed_rad_s) / robot.limits.velocity_rad_s)))
    at_rest_s = max(settings.max_observation_age_at_rest_s, settings.max_observation_age_s)
    return at_rest_s + share * (settings.max_observation_age_s - at_rest_s)


def steps_gone_by(chunk: ActionChunk, now_ns: int) -> int:
    """Return how many leading steps were meant for a time that is over; refuse if all were."""
    late_s = (now_ns - chunk.start_ns) * 1e-9
    gone = max(0, int(np.floor(late_s / chunk.step_period_s)))
    last = chunk.execute_steps or len(chunk.positions_rad)
    if gone >= last:
        raise ChunkRejected("OBSERVATION_STALE", f"all {last} steps were meant for the past")
    return gone


def check_jumps(waypoints: np.ndarray, settings: GateSettings) -> None:
    """Refuse a start away from the commanded state and spikes between steps (n + 1, A)."""
    with np.errstate(over="ignore"):  # an infinite jump is a jump
        jumps = np.abs(np.diff(waypoints, axis=0)).max(axis=1)
    if jumps[0] > settings.max_start_jump_rad:
        raise ChunkRejected(
            "DISCONTINUITY",
            f"first step is {jumps[0]:.3f} rad from the commanded state, "
            f"allowed {settings.max_start_jump_rad}",
        )
    worst = int(np.argmax(jumps))
    if jumps[worst] > settings.max_step_jump_rad:
        raise ChunkRejected(
            "DISCONTINUITY",
            f"step {worst} jumps by {jumps[worst]:.3f} rad, allowed {settings.max_step_jump_rad}",
        )


def check_positions(positions_rad: np.ndarray, robot: RobotDescription) -> None:
    """Refuse positions (K, A) beyond the joint limits."""
    limits = robot.limits
    excess = np.maximum(limits.lower_rad - positions_rad, positions_rad - limits.upper_rad)
    if excess.max() > _POSITION_TOLERANCE_RAD:
        row, column = np.unravel_index(np.argmax(excess), excess.shape)
        raise ChunkRejected(
            "LIMIT_VIOLATION",
            f"{robot.arm_joints[column]} would reach {positions_rad[row, column]:.3f} rad, "
            f"allowed [{limits.lower_rad[column]:.3f}, {limits.upper_rad[column]:.3f}]",
        )


def check_gripper(opening_m: np.ndarray | None, robot: RobotDescription) -> None:
    """Refuse finger openings (T,) outside the gripper's range; they are not clipped."""
    if opening_m is None:
        return
    gripper = robot.gripper
    low, high = gripper.closed_m - 1e-6, gripper.open_m + 1e-6
    if np.min(opening_m) < low or np.max(opening_m) > high:
        raise ChunkRejected(
            "LIMIT_VIOLATION",
            f"gripper opening {np.min(opening_m):.4f}..{np.max(opening_m):.4f} m is outside "
            f"[{gripper.closed_m}, {gripper.open_m}]",
        )


def check_workspace(
    positions_rad: np.ndarray, kinematics: Kinematics, tolerance_m: float = 1e-6
) -> None:
    """Refuse a tip outside the workspace box or a link below the floor, at positions (K, A)."""
    robot = kinematics.robot
    frames = kinematics.link_frames(positions_rad)
    tip = frames[robot.tip_frame][:, :3, 3]
    outside = np.maximum(robot.workspace_min_m - tip, tip - robot.workspace_max_m)
    if outside.max() > tolerance_m:
        row = int(np.argmax(outside.max(axis=1)))
        raise ChunkRejected(
            "WORKSPACE_VIOLATION",
            f"tip would be at {np.round(tip[row], 3)} m, allowed {robot.workspace_min_m} to "
            f"{robot.workspace_max_m}",
        )
    for name, frame in frames.items():
        if name == robot.base_frame:
            continue
        lowest = frame[:, 2, 3].min()
        if lowest < robot.floor_m - tolerance_m:
            raise ChunkRejected(
                "WORKSPACE_VIOLATION",
                f"link {name} would be at {lowest:.3f} m, below the floor at {robot.floor_m} m",
            )


def check_clearance(clearance: Clearance) -> None:
    """Refuse a motion on which two things come too near each other."""
    if clearance.too_near:
        link, other = clearance.pair
        raise ChunkRejected(
            "WORKSPACE_VIOLATION" if other == FLOOR else "COLLISION_PREDICTED",
            f"{link} would come within {clearance.distance_m:.3f} m of {other}, allowed "
            f"{clearance.least_m} m",
        )
