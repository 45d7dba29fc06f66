# SPDX-License-Identifier: Apache-2.0
"""A `Recording` as one npz file, written atomically and read without pickle.

Colour is stored area-averaged at half size and depth subsampled at half size in float16, because
both models read less than that. Intrinsics and query pixels keep the resolution of the recording,
so a recording that was read back cannot be written again: its images no longer fit.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import cv2
import numpy as np

from mu0_core.errors import DataError
from mu0_core.simulation.recorder import RecordedFrame, Recording
from mu0_core.types import CameraIntrinsics, QueryPoints

FORMAT_VERSION = 1
_ARRAYS = (
    "T_base_camera", "tip_m", "command_m", "joints_rad", "gripper_m", "gripper_command_m",
    "body_poses",
)  # fmt: skip
_QUERY = ("uv_px", "depth_m", "ids", "entity_ids", "roles")


def recording_path(folder: Path, seed: int) -> Path:
    """Return where the demonstration of ``seed`` lies in a folder of recordings."""
    return folder / f"{seed:06d}.npz"


def recording_paths(folder: Path) -> list[Path]:
    """Return all recordings of a folder, by seed.

    Raises:
        DataError: there is none.
    """
    found = sorted(folder.glob("[0-9]*.npz"))
    if not found:
        raise DataError(f"{folder} holds no recordings (NNNNNN.npz); make some with: mu0 collect")
    return found


def save_recording(recording: Recording, path: Path) -> None:
    """Write a recording; the file appears whole or not at all.

    Raises:
        DataError: images are not of the size that the intrinsics promise.
    """
    camera = recording.intrinsics
    for frame in recording.frames:
        if frame.rgb.shape != (camera.height, camera.width, 3):
            raise DataError(
                f"frame at step {frame.step} has shape {frame.rgb.shape}, the camera "
                f"{camera.width}x{camera.height}: only freshly recorded frames can be saved"
            )
    half = (camera.width // 2, camera.height // 2)
    frames = recording.frames
    sizes = [len(f.query) for f in frames]
    arrays = {name: getattr(recording, name) for name in _ARRAYS}
    arrays |= {
        "version": np.array(FORMAT_VERSION),
        "seed": np.array(recording.seed),
        "task": np.array(recording.task),
        "instructions": np.array(recording.instructions),
        "intrinsics": np.array([camera.width, camera.height, camera.fx, camera.fy,
                                camera.cx, camera.cy]),
        "frame_step": np.array([f.step for f in frames]),
        "frame_points": np.array(sizes),
        "rgb": np.stack([cv2.resize(f.rgb, half, interpolation=cv2.INTER_AREA) for f in frames]),
        "depth": np.stack([f.depth_m[::2, ::2] for f in frames]).astype(np.float16),
        "query_body": np.concatenate([f.query_body for f in frames]),
    }  # fmt: skip
    for name in _QUERY:
        arrays[f"query_{name}"] = np.concatenate([getattr(f.query, name) for f in frames])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            np.savez(stream, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_recording(path: Path) -> Recording:
    """Read a recording; its images have half the width and height of the intrinsics.

    Raises:
        DataError: the file is missing, damaged, or of another format version.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            data = {name: stored[name] for name in stored.files}
        return _from_arrays(data, path)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read recording {path}: {error}") from error


def _from_arrays(data: dict[str, np.ndarray], path: Path) -> Recording:
    version = int(data["version"])
    if version != FORMAT_VERSION:
        raise DataError(f"{path} has format version {version}, expected {FORMAT_VERSION}")
    width, height, *lens = data["intrinsics"]
    camera = CameraIntrinsics(int(width), int(height), *map(float, lens))
    frames, start = [], 0
    for index, (step, count) in enumerate(zip(data["frame_step"], data["frame_points"])):
        rows = slice(start, start + int(count))
        query = QueryPoints(
            **{name: data[f"query_{name}"][rows] for name in _QUERY},
            width=camera.width,
            height=camera.height,
        )
        depth = data["depth"][index].astype(np.float32)
        frames.append(
            RecordedFrame(int(step), data["rgb"][index], depth, query, data["query_body"][rows])
        )
        start += int(count)
    return Recording(
        seed=int(data["seed"]),
        task=str(data["task"]),
        instructions=tuple(map(str, data["instructions"])),
        intrinsics=camera,
        frames=tuple(frames),
        **{name: data[name] for name in _ARRAYS},
    )
