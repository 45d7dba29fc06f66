# SPDX-License-Identifier: Apache-2.0
"""From a planned joint path to an `ActionChunk`: corners rounded, timed, ready for the gate.

Time comes from `control.path_timing` under the limits of the robot description, so the gate has
little to slow. It bends paths with a smooth curve; the curve that it will make of the chunk is
checked here, not only the straight lines of the planner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import convolve1d

from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.motion_planner import rate_limits
from mu0_core.control.path_timing import TimedPath, time_path
from mu0_core.errors import ConfigError, PlanningError
from mu0_core.planning.planner import Planner, check_in_workspace, require_free
from mu0_core.planning.scene import PlanningScene
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics
from mu0_core.types import ActionChunk

_SPACING_RAD = 0.05  # of the waypoints that a path is cut into
_SHARPEST = (0, 0.01)  # rounding and spacing of the last attempt
_NO_END = 1e6


@dataclass(frozen=True, slots=True)
class PathTiming:
    """How a path becomes a chunk.

    Attributes:
        period_s: between steps of the chunk.
        speed_share: of the description's limits.
        corner_steps: half widths, in waypoints, over which corners are rounded; the first that
            is free of collision is taken, 0 keeps the corners.
    """

    period_s: float = 0.1
    speed_share: float = 0.8
    corner_steps: tuple[int, ...] = (6, 3, 1, 0)

    def __post_init__(self) -> None:
        if not 0.02 <= self.period_s <= 0.5 or not 0 < self.speed_share <= 1:
            raise ConfigError(
                f"period_s in [0.02, 0.5] and speed_share in (0, 1] expected: {self}"
            )
        if not self.corner_steps or min(self.corner_steps) < 0:
            raise ConfigError(f"corner_steps must be numbers of at least 0: {self.corner_steps}")


def timed_steps(
    path_rad: np.ndarray,
    planner: Planner,
    scene: PlanningScene,
    timing: PathTiming | None = None,
) -> np.ndarray:
    """Return the steps (T, A) of a chunk along a path (K, A), from rest to rest.

    The first row of the path, where the arm is, is not among them; the last is reached exactly.

    Raises:
        PlanningError: no rounding of the corners is free of collision, or the motion is too long
            for one chunk.
    """
    timing, robot = timing or PathTiming(), planner.robot
    refused: PlanningError | None = None
    for width, spacing_rad in (*((w, _SPACING_RAD) for w in timing.corner_steps), _SHARPEST):
        waypoints = spread(path_rad, spacing_rad)
        if len(waypoints) < 2:
            return path_rad[-1:].copy()
        steps = _steps(_timed(_rounded(waypoints, width), robot, timing), path_rad[-1], timing)
        curve = _curve_of_the_gate(np.concatenate([path_rad[:1], steps]))
        try:
            check_in_workspace(curve, Kinematics(robot), "the timed path")
            require_free(planner.check(curve, scene), "the timed path")
        except PlanningError as error:
            refused = error
            continue
        return steps
    raise refused


def path_chunk(
    path_rad: np.ndarray,
    planner: Planner,
    scene: PlanningScene,
    *,
    start_ns: int,
    observation_ns: int,
    sequence: int = 0,
    task_id: bytes = b"",
    timing: PathTiming | None = None,
) -> ActionChunk:
    """Return a chunk that runs along a path (K, A) and leaves the gripper alone.

    Args:
        path_rad: from where the arm rests now.
        planner: checks the smooth motion.
        scene: in which the path was planned.
        start_ns: time that the chunk starts from.
        observation_ns: of the oldest observation that the scene was made of.
        sequence, task_id: of the chunk.
        timing: how.

    Raises:
        PlanningError: as `timed_steps`.
    """
    timing = timing or PathTiming()
    steps = timed_steps(path_rad, planner, scene, timing)
    return ActionChunk(
        joint_names=planner.robot.arm_joints,
        positions_rad=steps,
        gripper_m=None,
        step_period_s=timing.period_s,
        observation_ns=observation_ns,
        start_ns=start_ns,
        sequence=sequence,
        execute_steps=len(steps),
        model_id=planner.name,
        task_id=task_id,
    )


def spread(path_rad: np.ndarray, spacing_rad: float) -> np.ndarray:
    """Return points (M, A) at even distance along a path (K, A), its ends included.

    The distance of two points is that of the joint that moves most.
    """
    lengths = np.max(np.abs(np.diff(path_rad, axis=0)), axis=1)
    place = np.concatenate([[0.0], np.cumsum(lengths)])
    kept = np.concatenate([[True], lengths > 1e-9])
    if place[-1] < 1e-9:
        return path_rad[:1].copy()
    count = max(2, int(np.ceil(place[-1] / spacing_rad)))
    at = np.linspace(0.0, place[-1], count + 1)
    columns = [np.interp(at, place[kept], column[kept]) for column in path_rad.T]
    return np.stack(columns, axis=1)


def _rounded(waypoints: np.ndarray, width: int) -> np.ndarray:
    """Return waypoints (M, A) averaged over neighbours; the ends stay where they are."""
    width = min(width, (len(waypoints) - 1) // 2)
    if width == 0:
        return waypoints
    weights = np.bartlett(2 * width + 3)[1:-1]
    # reflected through the ends, a straight beginning stays straight
    before, after = 2 * waypoints[0] - waypoints[width:0:-1], waypoints[-2 : -2 - width : -1]
    padded = np.concatenate([before, waypoints, 2 * waypoints[-1] - after])
    smooth = convolve1d(padded, weights / weights.sum(), axis=0)[width:-width]
    smooth[0], smooth[-1] = waypoints[0], waypoints[-1]
    return smooth


def _timed(waypoints: np.ndarray, robot: RobotDescription, timing: PathTiming) -> TimedPath:
    limits = rate_limits(robot, GateSettings().limit_share * timing.speed_share)
    fastest_s = float(np.max(np.abs(np.diff(waypoints, axis=0)) / limits.velocity))
    settings = GateSettings()
    timed: TimedPath = time_path(
        waypoints,
        max(fastest_s, 1e-3),
        settings.ramp_s,
        limits,
        settings.sample_period_s,
        max_stretch=_NO_END,
    )[0]
    return timed


def _curve_of_the_gate(rows: np.ndarray) -> np.ndarray:
    """Return places (M, A) on the curve that `control.path_timing` lays through rows (T, A)."""
    at = np.arange(len(rows))
    if len(rows) < 3:
        return rows
    return CubicSpline(at, rows, bc_type="natural")(np.linspace(0, at[-1], 4 * at[-1] + 1))


def _steps(timed: TimedPath, end_rad: np.ndarray, timing: PathTiming) -> np.ndarray:
    settings = GateSettings()
    count = max(1, int(np.ceil(timed.duration_s / timing.period_s)))
    if count > settings.max_steps or count * timing.period_s > settings.max_duration_s:
        raise PlanningError(
            f"the motion takes {timed.duration_s:.1f} s, a chunk at most {settings.max_duration_s}"
        )
    times = np.arange(1, count + 1) * timed.duration_s / count
    steps = timed.sample(times)[0]
    steps[-1] = end_rad
    return steps
