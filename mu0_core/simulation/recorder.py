# SPDX-License-Identifier: Apache-2.0
"""Record demonstrations of the scripted expert with physics: what evaluation compares with.

A `Recording` holds what a robot would have seen and done, and the exact poses of all bodies, from
which tracks of any pixel follow (`tracks`). Training reads `snapshot`s instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import KinematicsError, NoQueryPointsError
from mu0_core.inference.keypoints import PlaneSelector
from mu0_core.simulation.demonstration import demonstrate
from mu0_core.simulation.world import TableWorld
from mu0_core.types import CameraIntrinsics, QueryPoints


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A look before a round: step index, images, query points and the body under each point."""

    step: int
    rgb: np.ndarray
    depth_m: np.ndarray
    query: QueryPoints
    query_body: np.ndarray


@dataclass(frozen=True, slots=True)
class Recording:
    """A successful demonstration; arrays over control steps (K steps).

    Attributes:
        tip_m: (K, 3) measured tip before the step; command_m: (K, 3) commanded for the step.
        joints_rad: (K, A); gripper_m: (K,) measured; gripper_command_m: (K,).
        body_poses: (K + 1, bodies, 4, 4) T_base_body before each step and at the end.
    """

    seed: int
    task: str
    instructions: tuple[str, ...]
    intrinsics: CameraIntrinsics
    T_base_camera: np.ndarray
    tip_m: np.ndarray
    command_m: np.ndarray
    joints_rad: np.ndarray
    gripper_m: np.ndarray
    gripper_command_m: np.ndarray
    body_poses: np.ndarray
    frames: tuple[RecordedFrame, ...]


def record(world: TableWorld, task: str, seed: int, max_points: int = 32) -> Recording | None:
    """Record one demonstration; None when the expert failed or ran out of reach or rounds."""
    world.reset(seed)
    selector = PlaneSelector()
    rows: list[tuple] = []
    frames: list[RecordedFrame] = []

    def look() -> None:
        frame = _keep_frame(world, selector, len(rows), max_points)
        if frame is not None:
            frames.append(frame)

    def step(tip_m: np.ndarray, opening_m: float) -> None:
        rows.append((*_measured(world), tip_m, opening_m))

    try:
        over = demonstrate(world, task, on_look=look, on_step=step)
    except KinematicsError:
        return None
    if not over or not world.success(task) or not frames:
        return None
    frames = [frame for frame in frames if frame.step < len(rows)]
    tip, joints, gripper, poses, command, opening = (np.array(x) for x in zip(*rows))
    return Recording(
        seed=seed,
        task=task,
        instructions=tuple(world.instructions(v)[task] for v in range(3)),
        intrinsics=world.intrinsics,
        T_base_camera=world.T_base_camera,
        tip_m=tip,
        command_m=command,
        joints_rad=joints,
        gripper_m=gripper,
        gripper_command_m=opening,
        body_poses=np.concatenate([poses, world.body_poses()[None]]),
        frames=tuple(frames),
    )


def _measured(world: TableWorld) -> tuple:
    joints = world.proprioception().positions_rad
    return world.tip_position_m(), joints, world.opening_m(), world.body_poses()


def _keep_frame(
    world: TableWorld, selector: PlaneSelector, step: int, max_points: int
) -> RecordedFrame | None:
    frame = world.render()
    try:
        query = selector.select(frame, max_points)
    except NoQueryPointsError:
        return None
    bodies = world.render_body_ids()
    pixel = query.uv_px.astype(int)
    return RecordedFrame(step, frame.rgb, frame.depth_m, query, bodies[pixel[:, 1], pixel[:, 0]])
