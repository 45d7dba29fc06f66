# SPDX-License-Identifier: Apache-2.0
"""A `Snapshot` as one npz file, written atomically and read without pickle.

Colour is stored area-averaged at half size, because the models read less than that. Intrinsics and
query pixels keep the full resolution, so a snapshot that was read back cannot be written again.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np

from mu0_core.atomic_file import save_arrays
from mu0_core.errors import DataError
from mu0_core.simulation.snapshot import Future, Snapshot
from mu0_core.types import CameraIntrinsics, QueryPoints

FORMAT_VERSION = 1
_QUERY = ("uv_px", "depth_m", "ids", "entity_ids", "roles")
_STATE = ("rgb", "T_base_camera", "query_body", "joints_rad", "tip_m", "opening_m")


def snapshot_path(folder: Path, seed: int) -> Path:
    """Return where the snapshot of ``seed`` lies in a folder of training data."""
    return folder / f"{seed:06d}.npz"


def snapshot_paths(folder: Path) -> list[Path]:
    """Return all snapshots of a folder, by seed.

    Raises:
        DataError: there is none.
    """
    found = sorted(folder.glob("[0-9]*.npz"))
    if not found:
        raise DataError(f"{folder} holds no snapshots (NNNNNN.npz); make some with: mu0 collect")
    return found


def save_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Write a snapshot; the file appears whole or not at all.

    Raises:
        DataError: the image is not of the size that the intrinsics promise.
    """
    lens, futures = snapshot.intrinsics, snapshot.futures
    if snapshot.rgb.shape != (lens.height, lens.width, 3):
        raise DataError(
            f"image of shape {snapshot.rgb.shape}, the camera has {lens.width}x{lens.height}: "
            "only freshly made snapshots can be saved"
        )
    half = (lens.width // 2, lens.height // 2)
    arrays = {name: getattr(snapshot, name) for name in _STATE}
    arrays |= {f"query_{name}": getattr(snapshot.query, name) for name in _QUERY}
    arrays |= {
        "version": FORMAT_VERSION,
        "seed": snapshot.seed,
        "rgb": cv2.resize(snapshot.rgb, half, interpolation=cv2.INTER_AREA),
        "intrinsics": (lens.width, lens.height, lens.fx, lens.fy, lens.cx, lens.cy),
        "tasks": [f.task for f in futures],
        "instructions": [f.instruction for f in futures],
        "steps": [len(f.tracks_m) for f in futures],
        "tracks_m": np.concatenate([f.tracks_m for f in futures]),
        "command_tip_m": np.stack([f.tip_m for f in futures]),
        "command_opening_m": np.stack([f.opening_m for f in futures]),
    }
    save_arrays(path, arrays)


def load_snapshot(path: Path) -> Snapshot:
    """Read a snapshot; its image has half the width and height of the intrinsics.

    Raises:
        DataError: the file is missing, damaged, or of another format version.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            data = {name: stored[name] for name in stored.files}
        return _from_arrays(data, path)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read snapshot {path}: {error}") from error


def _from_arrays(data: dict[str, np.ndarray], path: Path) -> Snapshot:
    if int(data["version"]) != FORMAT_VERSION:
        raise DataError(f"{path} has format version {data['version']}, expected {FORMAT_VERSION}")
    width, height, *lens = data["intrinsics"]
    camera = CameraIntrinsics(int(width), int(height), *map(float, lens))
    query = {name: data[f"query_{name}"] for name in _QUERY}
    state = {name: data[name] for name in _STATE}
    tracks = np.split(data["tracks_m"], np.cumsum(data["steps"])[:-1])
    futures = zip(
        map(str, data["tasks"]), map(str, data["instructions"]), tracks,
        data["command_tip_m"], data["command_opening_m"], strict=True,
    )  # fmt: skip
    return Snapshot(
        seed=int(data["seed"]),
        intrinsics=camera,
        query=QueryPoints(**query, width=camera.width, height=camera.height),
        futures=tuple(Future(*row) for row in futures),
        **{**state, "opening_m": float(state["opening_m"])},
    )
