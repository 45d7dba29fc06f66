# SPDX-License-Identifier: Apache-2.0
"""Training slots: one row per recorded frame, with its query points, true traces and actions.

Built once from a folder of recordings and kept as one npz. Images stay in the recordings; a slot
names its recording and frame.
"""

from __future__ import annotations

import dataclasses
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mu0_core.errors import ConfigError, DataError
from mu0_core.geometry import camera
from mu0_core.simulation.recorder import RecordedFrame, Recording
from mu0_core.simulation.recording_file import load_recording
from mu0_core.simulation.tracks import body_tracks
from mu0_core.training.retarget import RetargetSettings, retarget

_SINGLE = ("query", "trace", "tip_m", "joints_rad", "gripper_m", "chunk")


@dataclass(frozen=True, slots=True)
class SlotSettings:
    """Sizes of a slot, and which recordings are kept for validation."""

    max_points: int = 32
    chunk_size: int = 16
    validation_share: float = 0.04
    retarget: RetargetSettings = field(default_factory=RetargetSettings)

    def __post_init__(self) -> None:
        if self.max_points < 1 or self.chunk_size < 1 or not 0 < self.validation_share < 1:
            raise ConfigError(f"slots need positive sizes and a share in (0, 1): {self}")


@dataclass(frozen=True, slots=True)
class TrainingSlots:
    """M slots of at most N points, H future steps, T actions, A joints; F recordings.

    Attributes:
        files: (F,) names of the recordings; recording: (M,) index into them; frame: (M,).
        count: (M,) real points, the rest is padding.
        query: (M, N, 3) u, v in [-1, 1], z in metres.
        trace: (M, N, H + 1, 3) same units, retargeted; step 0 is the query point.
        num_steps: (M,) steps that belong to the motion.
        entity_ids: (M, N) int64, -1 for padding.
        tip_m: (M, 3); joints_rad: (M, A); gripper_m: (M,) measured.
        chunk: (M, T, 4) commanded tip minus measured tip now, base frame; opening in metres.
        T_base_camera: (M, 4, 4); intrinsics: (M, 6) width, height, fx, fy, cx, cy in pixels.
        instruction, task: (M,) str; seed: (M,) of the episode.
    """

    files: np.ndarray
    recording: np.ndarray
    frame: np.ndarray
    count: np.ndarray
    query: np.ndarray
    trace: np.ndarray
    num_steps: np.ndarray
    entity_ids: np.ndarray
    tip_m: np.ndarray
    joints_rad: np.ndarray
    gripper_m: np.ndarray
    chunk: np.ndarray
    T_base_camera: np.ndarray
    intrinsics: np.ndarray
    instruction: np.ndarray
    task: np.ndarray
    seed: np.ndarray

    def __len__(self) -> int:
        return len(self.count)

    def point_valid(self, index: np.ndarray) -> np.ndarray:
        """Return (B, N) bool: which points of the slots at ``index`` are real."""
        return np.arange(self.query.shape[1]) < self.count[index][:, None]

    def validation(self, share: float) -> np.ndarray:
        """Return (M,) bool; whole episodes are held out, the same ones for every caller.

        Raises:
            DataError: too few episodes to hold one out and keep one.
        """
        seeds = np.unique(self.seed)
        if len(seeds) < 2:
            raise DataError(f"{len(seeds)} episode; at least 2 are needed to hold one out")
        held = np.random.default_rng(1).random(len(seeds)) < share
        if not held.any() or held.all():
            held = np.arange(len(seeds)) == len(seeds) - 1
        return np.isin(self.seed, seeds[held])

    def save(self, path: Path) -> None:
        """Write atomically."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as stream:
                np.savez(stream, **values)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> TrainingSlots:
        """Read what `save` wrote; raises `DataError` when the file is damaged or another."""
        try:
            with np.load(path, allow_pickle=False) as data:
                return cls(**{f.name: data[f.name] for f in dataclasses.fields(cls)})
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"cannot read training slots {path}: {error}") from error


def build_slots(paths: Iterable[Path], settings: SlotSettings) -> TrainingSlots:
    """Build the slots of some recordings, in their order.

    Raises:
        DataError: a recording is broken or has more points than a slot; or there is no frame.
    """
    rows: dict[str, list] = {}
    files = []
    for number, path in enumerate(paths):
        recording = load_recording(path)
        files.append(path.name)
        rng = np.random.default_rng(recording.seed)
        for index, frame in enumerate(recording.frames):
            sentence = recording.instructions[rng.integers(len(recording.instructions))]
            row = _slot(recording, frame, settings)
            row |= {"recording": number, "frame": index, "instruction": sentence}
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
    if not rows:
        raise DataError("no recorded frame to train on")
    arrays = {name: np.array(values) for name, values in rows.items()}
    arrays |= {name: arrays[name].astype(np.float32) for name in _SINGLE}
    return TrainingSlots(files=np.array(files), **arrays)


def _slot(recording: Recording, frame: RecordedFrame, settings: SlotSettings) -> dict:
    lens, now = recording.intrinsics, frame.step
    if len(frame.query) > settings.max_points:
        raise DataError(
            f"seed {recording.seed}, step {now}: {len(frame.query)} query points, a slot holds "
            f"{settings.max_points}"
        )
    tracks = body_tracks(
        frame.query, frame.query_body, lens, recording.T_base_camera, recording.body_poses, now
    )[now:]
    uvz = camera.project(tracks, lens)
    if not np.all(np.isfinite(uvz)):
        raise DataError(f"seed {recording.seed}, step {now}: a track passes behind the camera")
    share = (uvz[..., :2] + 0.5) / (lens.width, lens.height)
    moved = retarget(np.concatenate([share, uvz[..., 2:]], axis=-1), settings.retarget)
    trace = moved.points.transpose(1, 0, 2)
    trace[..., :2] = trace[..., :2] * 2 - 1
    step = np.minimum(now + np.arange(settings.chunk_size), len(recording.command_m) - 1)
    tip = recording.tip_m[now]
    return {
        "count": len(trace),
        "query": _padded(trace[:, 0], settings.max_points, 0),
        "trace": _padded(trace, settings.max_points, 0),
        "num_steps": moved.num_steps,
        "entity_ids": _padded(frame.query.entity_ids.astype(np.int64), settings.max_points, -1),
        "tip_m": tip,
        "joints_rad": recording.joints_rad[now],
        "gripper_m": recording.gripper_m[now],
        "chunk": np.concatenate(
            [recording.command_m[step] - tip, recording.gripper_command_m[step][:, None]], axis=1
        ),
        "T_base_camera": recording.T_base_camera,
        "intrinsics": np.array([lens.width, lens.height, lens.fx, lens.fy, lens.cx, lens.cy]),
        "task": recording.task,
        "seed": recording.seed,
    }


def _padded(array: np.ndarray, length: int, value: float) -> np.ndarray:
    fill = np.full((length - len(array), *array.shape[1:]), value, array.dtype)
    return np.concatenate([array, fill])
