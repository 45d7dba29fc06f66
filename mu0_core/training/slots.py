# SPDX-License-Identifier: Apache-2.0
"""Training slots: one row per picture and sentence, with query points, true traces and actions.

Built once from a folder of snapshots and kept as one npz. Images stay in the snapshots.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mu0_core.atomic_file import save_arrays
from mu0_core.errors import ConfigError, DataError
from mu0_core.geometry import camera
from mu0_core.simulation.snapshot import Future, Snapshot
from mu0_core.simulation.snapshot_file import load_snapshot
from mu0_core.training.retarget import RetargetSettings, retarget

_SINGLE = ("query", "trace", "tip_m", "joints_rad", "gripper_m", "chunk")


@dataclass(frozen=True, slots=True)
class SlotSettings:
    """Sizes of a slot, and which snapshots are kept for validation."""

    max_points: int = 32
    validation_share: float = 0.02
    retarget: RetargetSettings = field(default_factory=RetargetSettings)

    def __post_init__(self) -> None:
        if self.max_points < 1 or not 0 < self.validation_share < 1:
            raise ConfigError(f"slots need max_points >= 1 and a share in (0, 1): {self}")


@dataclass(frozen=True, slots=True)
class TrainingSlots:
    """M slots of at most N points, H future steps, T actions, A joints; F snapshots.

    Attributes:
        files: (F,) names of the snapshots; snapshot: (M,) index into them.
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
    snapshot: np.ndarray
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
        save_arrays(path, {f.name: getattr(self, f.name) for f in dataclasses.fields(self)})

    @classmethod
    def load(cls, path: Path) -> TrainingSlots:
        """Read what `save` wrote; raises `DataError` when the file is damaged or another."""
        try:
            with np.load(path, allow_pickle=False) as data:
                return cls(**{f.name: data[f.name] for f in dataclasses.fields(cls)})
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"cannot read training slots {path}: {error}") from error


def build_slots(paths: Iterable[Path], settings: SlotSettings) -> TrainingSlots:
    """Build the slots of some snapshots, in their order.

    Raises:
        DataError: a snapshot is broken or has more points than a slot; or there is none.
    """
    rows: dict[str, list] = {}
    files = []
    for number, path in enumerate(paths):
        snapshot = load_snapshot(path)
        files.append(path.name)
        for future in snapshot.futures:
            row = _slot(snapshot, future, settings) | {"snapshot": number}
            for name, value in row.items():
                single = name in _SINGLE
                rows.setdefault(name, []).append(np.float32(value) if single else value)
    if not rows:
        raise DataError("no snapshot to train on")
    arrays = {name: np.array(values) for name, values in rows.items()}
    return TrainingSlots(files=np.array(files), **arrays)


def _slot(snapshot: Snapshot, future: Future, settings: SlotSettings) -> dict:
    lens, query, tip = snapshot.intrinsics, snapshot.query, snapshot.tip_m
    if len(query) > settings.max_points:
        raise DataError(
            f"seed {snapshot.seed}: {len(query)} query points, a slot holds {settings.max_points}"
        )
    uvz = camera.project(future.tracks_m.astype(float), lens)
    if not np.all(np.isfinite(uvz)):
        raise DataError(f"seed {snapshot.seed}, {future.task}: a track passes behind the camera")
    share = (uvz[..., :2] + 0.5) / (lens.width, lens.height)
    moved = retarget(np.concatenate([share, uvz[..., 2:]], axis=-1), settings.retarget)
    trace = moved.points.transpose(1, 0, 2)
    trace[..., :2] = trace[..., :2] * 2 - 1
    return {
        "count": len(trace),
        "query": _padded(trace[:, 0], settings.max_points, 0),
        "trace": _padded(trace, settings.max_points, 0),
        "num_steps": moved.num_steps,
        "entity_ids": _padded(query.entity_ids.astype(np.int64), settings.max_points, -1),
        "tip_m": tip,
        "joints_rad": snapshot.joints_rad,
        "gripper_m": snapshot.opening_m,
        "chunk": np.concatenate([future.tip_m - tip, future.opening_m[:, None]], axis=1),
        "T_base_camera": snapshot.T_base_camera,
        "intrinsics": np.array([lens.width, lens.height, lens.fx, lens.fy, lens.cx, lens.cy]),
        "instruction": future.instruction,
        "task": future.task,
        "seed": snapshot.seed,
    }


def _padded(array: np.ndarray, length: int, value: float) -> np.ndarray:
    fill = np.full((length - len(array), *array.shape[1:]), value, array.dtype)
    return np.concatenate([array, fill])
