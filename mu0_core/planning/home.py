# SPDX-License-Identifier: Apache-2.0
"""The way home: from where an arm stands to the home pose of its description, around obstacles."""

from __future__ import annotations

import numpy as np

from mu0_core.planning.path_chunk import PathTiming, path_chunk
from mu0_core.planning.planner import Planner
from mu0_core.planning.scene import PlanningScene
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics
from mu0_core.types import ActionChunk, Proprioception

AT_HOME_RAD = 0.02
_TOUCHED_M = 0.06  # points so near to the tip are what it has just touched


def is_home(positions_rad: np.ndarray, robot: RobotDescription) -> bool:
    """Say whether joints (A,) are those of the home pose."""
    return bool(np.max(np.abs(positions_rad - robot.home_rad)) < AT_HOME_RAD)


def home_chunk(
    planner: Planner,
    scene: PlanningScene,
    state: Proprioception,
    *,
    start_ns: int,
    observation_ns: int,
    sequence: int = 0,
    task_id: bytes = b"",
    timing: PathTiming | None = None,
) -> ActionChunk:
    """Return a chunk that leads home and leaves the gripper alone.

    Args:
        planner: of the arm.
        scene: what is in the way; points at the tip are left out, it may stand over a thing.
        state: where the arm rests.
        start_ns: time that the chunk starts from.
        observation_ns: of the oldest observation used.
        sequence, task_id: of the chunk.
        timing: how fast.

    Raises:
        PlanningError, PlannerUnavailableError: see `Planner.plan`.
    """
    tip = Kinematics(planner.robot).tip(state.positions_rad)[:3, 3]
    scene = scene.without_points_near(tip[None], _TOUCHED_M)
    path = planner.plan(state.positions_rad, planner.robot.home_rad, scene)
    return path_chunk(
        path,
        planner,
        scene,
        start_ns=start_ns,
        observation_ns=observation_ns,
        sequence=sequence,
        task_id=task_id,
        timing=timing,
    )
