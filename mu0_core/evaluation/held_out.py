# SPDX-License-Identifier: Apache-2.0
"""Held-out forecasts to judge: frames of simulated episodes with their true traces; baselines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mu0_core.geometry import camera
from mu0_core.simulation.recorder import RecorderSettings, record
from mu0_core.simulation.tasks import TASKS
from mu0_core.simulation.tracks import body_tracks
from mu0_core.simulation.world import TableWorld
from mu0_core.training.retarget import RetargetSettings, retarget
from mu0_core.types import QueryPoints, RgbdFrame

HORIZON = 32
_FRAMES_PER_EPISODE = 3
_MOVING = 0.02  # in (u, v, z)


@dataclass(frozen=True, slots=True)
class HeldOutSample:
    """One frame with the truth.

    Attributes:
        trace_uvz: (N, 32, 3) u, v in [-1, 1] and z in metres at phase steps 1..32; still after the end.
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
    """Yield frames of undisturbed scripted demonstrations, tasks in turn."""
    world = TableWorld()
    settings = RecorderSettings(disturb_probability=0.0, relocate_probability=0.0)
    names = list(TASKS)
    for seed in range(first_seed, first_seed + episodes):
        recording = record(world, names[seed % len(names)], seed, settings)
        if recording is None:
            continue
        for frame in recording.frames[:: max(1, len(recording.frames) // _FRAMES_PER_EPISODE)]:
            tracks = body_tracks(
                frame.query, frame.query_body, recording.intrinsics, recording.T_base_camera,
                recording.body_poses, frame.step,
            )[frame.step :]
            yield _sample(recording, frame, tracks, seed)
    world.close()


def _sample(recording, frame, tracks, seed) -> HeldOutSample:
    size = (recording.intrinsics.width, recording.intrinsics.height)
    projected = camera.project(tracks, recording.intrinsics)
    share = (camera.pixels_to_uv(projected[..., :2], *size) + 1) / 2  # x / width, y / height
    retargeted = retarget(
        np.concatenate([share, projected[..., 2:]], axis=-1), RetargetSettings(steps=HORIZON)
    )
    path = retargeted.points.transpose(1, 0, 2).copy()
    path[..., :2] = path[..., :2] * 2 - 1
    on_the_way = np.arange(1, HORIZON + 1) <= retargeted.num_steps
    valid = np.broadcast_to(on_the_way, (len(path), HORIZON))
    moving = np.abs(path - path[:, :1]).max(axis=(1, 2)) > _MOVING
    image = RgbdFrame(frame.rgb, frame.depth_m, recording.intrinsics, "camera", 0)
    return HeldOutSample(
        image, recording.instructions[0], frame.query, path[:, 0], path[:, 1:], valid, moving, seed
    )


def to_metres(traces_uvz: np.ndarray, frame: RgbdFrame) -> np.ndarray:
    """Return traces (..., 3) in metres in the optical frame."""
    size = (frame.intrinsics.width, frame.intrinsics.height)
    pixels = camera.uv_to_pixels(traces_uvz[..., :2], *size)
    return camera.unproject(np.concatenate([pixels, traces_uvz[..., 2:]], axis=-1), frame.intrinsics)


class NoMotion:
    """Baseline: everything stays where it is."""

    def __call__(self, sample: HeldOutSample) -> np.ndarray:
        """Return (1, N, 32, 3)."""
        return np.repeat(sample.query_uvz[None, :, None], HORIZON, axis=2)


@dataclass
class NearestTrace:
    """Baseline: the displacement of the training point that is nearest in (u, v, z), same sentence if any."""

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
