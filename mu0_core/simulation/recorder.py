# SPDX-License-Identifier: Apache-2.0
"""Record demonstrations of the scripted expert, with disturbances it recovers from.

A `Recording` holds what a robot would have seen and done, and the exact poses of all bodies, from
which tracks of any pixel follow (`tracks`). Frames are kept only where the rest of the episode is
undisturbed, so every kept frame has a true future.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import KinematicsError, NoQueryPointsError
from mu0_core.inference.keypoints import PlaneSelector
from mu0_core.simulation.expert import CONTROL_PERIOD_S, ScriptedExpert
from mu0_core.simulation.rollout import TipServo
from mu0_core.simulation.world import TableWorld
from mu0_core.types import CameraIntrinsics, QueryPoints

MAX_STEPS = 150


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One kept camera frame: step index, images, query points and the body under each point."""

    step: int
    rgb: np.ndarray
    depth_m: np.ndarray
    query: QueryPoints
    query_body: np.ndarray


@dataclass(frozen=True, slots=True)
class Recording:
    """A successful demonstration; arrays over control steps of `CONTROL_PERIOD_S` (K steps).

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


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """How demonstrations are recorded."""

    frame_every: int = 4
    max_points: int = 32
    disturb_probability: float = 0.5
    relocate_probability: float = 0.4
    drop_probability: float = 0.3


def record(
    world: TableWorld, task: str, seed: int, settings: RecorderSettings | None = None
) -> Recording | None:
    """Record one demonstration; None when the expert failed or ran out of reach or time."""
    settings = settings or RecorderSettings()
    rng = np.random.default_rng([seed, 7])
    world.reset(seed)
    expert, servo = ScriptedExpert(world, task), TipServo(world)
    selector = PlaneSelector()
    try:
        if rng.random() < settings.relocate_probability:
            _relocate(world, servo, expert, rng)
        disturb_at = (
            int(rng.integers(4, 40)) if rng.random() < settings.disturb_probability else None
        )
        rows: list[tuple] = []
        frames: list[RecordedFrame] = []
        phase = int(rng.integers(settings.frame_every))
        for step in range(MAX_STEPS):
            if step == disturb_at:
                _disturb(world, servo, expert, rng, settings.drop_probability)
                rows.clear()
                frames.clear()
            here = len(rows)
            if here % settings.frame_every == phase:
                frame = _keep_frame(world, selector, here, settings.max_points)
                if frame is not None:
                    frames.append(frame)
            state = world.proprioception()
            before = (world.tip_position_m(), state.positions_rad, state.gripper_m, world.body_poses())
            command, opening = expert.step()
            servo.move(command, opening, CONTROL_PERIOD_S)
            rows.append((*before, command, opening))
            if expert.done:
                break
    except KinematicsError:
        return None
    if not expert.done or not world.success(task) or not frames:
        return None
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


def _relocate(
    world: TableWorld, servo: TipServo, expert: ScriptedExpert, rng: np.random.Generator
) -> None:
    """Start from anywhere above the table, with the fingers open or closed."""
    goal = np.array([rng.uniform(0.33, 0.62), rng.uniform(-0.27, 0.27), rng.uniform(0.11, 0.30)])
    opening = float(rng.choice([0.0, 0.08]))
    start = world.tip_position_m()
    for share in np.linspace(0.15, 1.0, 7):
        servo.move(start + (goal - start) * share, opening, 0.2)
    expert.gripper_m = opening
    expert.resync()


def _disturb(
    world: TableWorld,
    servo: TipServo,
    expert: ScriptedExpert,
    rng: np.random.Generator,
    drop_probability: float,
) -> None:
    """Push the tip aside by some centimetres; sometimes open the fingers."""
    offset = rng.uniform(-1, 1, 3) * (0.06, 0.06, 0.05)
    start = world.tip_position_m()
    goal = start + offset
    goal[2] = np.clip(goal[2], max(0.018, start[2] - 0.02), 0.32)
    opening = expert.gripper_m
    if rng.random() < drop_probability:
        opening = 0.08 - opening
    for share in np.linspace(0.25, 1.0, 4):
        servo.move(start + (goal - start) * share, opening, 0.15)
    expert.gripper_m = opening
    expert.resync()
