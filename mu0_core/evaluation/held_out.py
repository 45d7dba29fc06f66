# SPDX-License-Identifier: Apache-2.0
"""Held-out forecasts to judge: frames of simulated episodes with their true traces; baselines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mu0_core.geometry import camera
from mu0_core.simulation.recorder import RecordedFrame, Recording, record
from mu0_core.simulation.tasks import TASKS
from mu0_core.simulation.tracks import body_tracks
from mu0_core.simulation.world import TableWorld
from mu0_core.training.retarget import RetargetSettings, retarget
from mu0_core.types import CameraIntrinsics, QueryPoints, RgbdFrame

HORIZON = 32
_MOVING = 0.02  # in (u, v, z)


@dataclass(frozen=True, slots=True)
class HeldOutSample:
    """One frame with the truth.

    Attributes:
        trace_uvz: (N, 32, 3) u, v in [-1, 1] and z in metres at phase steps 1..32.
        valid: (N, 32) bool, the step belongs to the motion.
        moving: (N,) bool.
    """

    frame: RgbdFrame
    instruction: str
    query: QueryPoints
    query_uvz: np.ndarray
    trace_uvz: np.ndarray
    valid: np.ndarray
    moving: np.ndarray
    seed: int


def episode_samples(first_seed: int, episodes: int) -> Iterator[HeldOutSample]:
    """Yield what is seen before each round of scripted demonstrations, tasks in turn."""
    names = list(TASKS)
    world = TableWorld()
    try:
        for seed in range(first_seed, first_seed + episodes):
            recording = record(world, names[seed % len(names)], seed)
            if recording is None:
                continue
            for frame in recording.frames:
                tracks = body_tracks(
                    frame.query,
                    frame.query_body,
                    recording.intrinsics,
                    recording.T_base_camera,
                    recording.body_poses,
                    frame.step,
                )[frame.step :]
                yield _sample(recording, frame, tracks, seed)
    finally:
        world.close()


def _sample(
    recording: Recording, frame: RecordedFrame, tracks: np.ndarray, seed: int
) -> HeldOutSample:
    path, num_steps = true_future(tracks, recording.intrinsics)
    valid = np.broadcast_to(np.arange(1, HORIZON + 1) <= num_steps, (len(path), HORIZON))
    moving = np.abs(path - path[:, :1]).max(axis=(1, 2)) > _MOVING
    image = RgbdFrame(frame.rgb, frame.depth_m, recording.intrinsics, "camera", 0)
    return HeldOutSample(
        image, recording.instructions[0], frame.query, path[:, 0], path[:, 1:], valid, moving, seed
    )


def true_future(tracks_m: np.ndarray, intrinsics: CameraIntrinsics) -> tuple[np.ndarray, int]:
    """Return what a perfect forecast would say of tracks that begin now.

    Args:
        tracks_m: (K, N, 3) in the optical frame, over time.
        intrinsics: of the camera.

    Returns:
        (N, 33, 3) u, v in [-1, 1] and z in metres at phase steps 0..32, and how many of the steps
        belong to the motion (the last position repeats behind it).
    """
    size = (intrinsics.width, intrinsics.height)
    projected = camera.project(tracks_m, intrinsics)
    share = (camera.pixels_to_uv(projected[..., :2], *size) + 1) / 2  # x / width, y / height
    retargeted = retarget(
        np.concatenate([share, projected[..., 2:]], axis=-1), RetargetSettings(steps=HORIZON)
    )
    path = retargeted.points.transpose(1, 0, 2).copy()
    path[..., :2] = path[..., :2] * 2 - 1
    return path, retargeted.num_steps


def to_metres(traces_uvz: np.ndarray, intrinsics: CameraIntrinsics) -> np.ndarray:
    """Return traces (..., 3) of u, v in [-1, 1] and z in metres in the optical frame."""
    pixels = camera.uv_to_pixels(traces_uvz[..., :2], intrinsics.width, intrinsics.height)
    return camera.unproject(np.concatenate([pixels, traces_uvz[..., 2:]], axis=-1), intrinsics)


class NoMotion:
    """Baseline: everything stays where it is."""

    def __call__(self, sample: HeldOutSample) -> np.ndarray:
        """Return (1, N, 32, 3)."""
        return np.repeat(sample.query_uvz[None, :, None], HORIZON, axis=2)


@dataclass
class NearestTrace:
    """Baseline: the displacement of the training point that is nearest in (u, v, z).

    Searched among points with the same sentence where there are any.
    """

    points: dict[str, list[np.ndarray]] = field(default_factory=dict)
    traces: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, sample: HeldOutSample) -> None:
        """Take a training frame in."""
        for key in (sample.instruction, ""):
            self.points.setdefault(key, []).append(sample.query_uvz)
            self.traces.setdefault(key, []).append(sample.trace_uvz - sample.query_uvz[:, None])

    def __call__(self, sample: HeldOutSample) -> np.ndarray:
        """Return (1, N, 32, 3)."""
        key = sample.instruction if sample.instruction in self.points else ""
        points, traces = np.concatenate(self.points[key]), np.concatenate(self.traces[key])
        distance = np.linalg.norm(sample.query_uvz[:, None] - points[None], axis=-1)
        return (sample.query_uvz[:, None] + traces[np.argmin(distance, axis=1)])[None]
