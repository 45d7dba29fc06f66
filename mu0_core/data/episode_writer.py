# SPDX-License-Identifier: Apache-2.0
"""Write episode directories of the released format; an episode is there whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mu0_core.data.captions import Captions
from mu0_core.data.episode import CAPTIONS_FILE
from mu0_core.errors import DataError

FUTURE_COLUMNS, HISTORY_COLUMNS = 128, 32
FORMAT_VERSION = 1
NO_CAPTIONS = Captions()


class EpisodeWriter:
    """Collects the slots of one episode, then writes the directory in one rename."""

    def __init__(
        self,
        images: np.ndarray,
        depth_m: np.ndarray,
        intrinsics: np.ndarray,
        T_camera_world: np.ndarray,
        captions: Captions = NO_CAPTIONS,
    ) -> None:
        """Take what belongs to the frames.

        Args:
            images: (T, h, w, 3) uint8.
            depth_m: (T, h, w) metres; NaN where unknown.
            intrinsics: (T, 3, 3) camera matrices in pixels.
            T_camera_world: (T, 4, 4) optical frame from world.
            captions: instructions by frame range.

        Raises:
            DataError: shapes or types disagree.
        """
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise DataError(f"images {images.shape} {images.dtype}, expected (T, h, w, 3) uint8")
        frames = len(images)
        for name, array, shape in (
            ("depth_m", depth_m, images.shape[:3]),
            ("intrinsics", intrinsics, (frames, 3, 3)),
            ("T_camera_world", T_camera_world, (frames, 4, 4)),
        ):
            if array.shape != shape:
                raise DataError(f"{name} {array.shape}, expected {shape}")
        self._images, self._depth_m = images, depth_m
        self._intrinsics, self._T_camera_world = intrinsics, T_camera_world
        self._captions = captions
        self._slots: list[dict[str, np.ndarray]] = []
        self._frames: list[int] = []

    def add_slot(
        self,
        frame: int,
        future: np.ndarray,
        history: np.ndarray,
        is_moving: np.ndarray,
        cluster_ids: np.ndarray,
        timed: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """Add the rows of one frame; -inf marks steps without a point.

        Args:
            frame: t, one slot per frame.
            future: (K, 1..128, 3) x px, y px, z m from t on; column 0 is t.
            history: (K, 1..32, 3) from t backwards; column 0 is t.
            is_moving: (K,) bool.
            cluster_ids: (K,) rigid entity, -1 = none.
            timed: future and history once more with one column per frame, stored as ``raw_*``;
                all slots of an episode have it or none.

        Raises:
            DataError: the frame does not exist or has a slot, shapes disagree, column 0 is not a
                point or not the same in both, or a value is NaN, +inf or beyond half precision.
        """
        count = len(is_moving)
        if not 0 <= frame < len(self._images) or frame in self._frames:
            raise DataError(f"frame {frame}: unknown (0..{len(self._images) - 1}) or added before")
        for name, array in (("is_moving", is_moving), ("cluster_ids", cluster_ids)):
            if np.shape(array) != (count,):
                raise DataError(f"frame {frame}: {name} {np.shape(array)}, expected ({count},)")
        future = _padded(f"frame {frame}: future", future, count, FUTURE_COLUMNS)
        history = _padded(f"frame {frame}: history", history, count, HISTORY_COLUMNS)
        if not np.array_equal(future[:, 0], history[:, 0]):
            raise DataError(f"frame {frame}: future and history differ in column 0, the frame")
        slot = {
            **_with_masks("", future, history),
            "is_moving": np.asarray(is_moving, bool),
            "cluster_ids": np.asarray(cluster_ids, np.int32),
            "keypoints": future[:, 0, :2],
        }
        if timed is not None:
            ahead = _padded(f"frame {frame}: timed future", timed[0], count, FUTURE_COLUMNS)
            back = _padded(f"frame {frame}: timed history", timed[1], count, HISTORY_COLUMNS)
            slot |= _with_masks("raw_", ahead, back)
        if self._slots and slot.keys() != self._slots[0].keys():
            raise DataError(f"frame {frame}: all slots of an episode have timed paths, or none")
        self._frames.append(frame)
        self._slots.append(slot)

    def write(self, directory: Path, finish: Callable[[Path], None] | None = None) -> None:
        """Write the episode to ``directory``, which must not exist.

        Args:
            directory: of the episode.
            finish: puts further files into the folder that it is given, before the episode
                appears under its name.

        Raises:
            DataError: the directory exists, or no slot was added.
        """
        directory = Path(directory)
        if directory.exists():
            raise DataError(f"{directory}: exists; episodes are never overwritten")
        if not self._slots:
            raise DataError(f"{directory}: an episode needs at least one slot")
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            self._write_files(partial)
            if finish is not None:
                finish(partial)
            partial.chmod(0o755)
            partial.rename(directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _write_files(self, folder: Path) -> None:
        order = np.argsort(self._frames)
        counts = [len(self._slots[k]["is_moving"]) for k in order]
        samples = {
            name: np.concatenate([self._slots[k][name] for k in order]) for name in self._slots[0]
        }
        samples["frame_indices"] = np.array(self._frames, np.int32)[order]
        samples["offsets"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        (folder / "samples").mkdir()
        for name, array in samples.items():
            np.save(folder / "samples" / f"{name}.npy", array, allow_pickle=False)
        np.save(folder / "images.npy", self._images, allow_pickle=False)
        np.save(folder / "depth.npy", self._depth_m.astype(np.float16), allow_pickle=False)
        height, width = self._images.shape[1:3]
        np.savez(
            folder / "cameras.npz",
            intrinsics=self._intrinsics,
            extrinsics=self._T_camera_world,
            height=height,
            width=width,
        )
        (folder / CAPTIONS_FILE).write_text(self._captions.to_json(), encoding="utf-8")
        meta = {"format_version": FORMAT_VERSION, "frames": len(self._images), "slots": len(order)}
        (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")


def _with_masks(prefix: str, future: np.ndarray, history: np.ndarray) -> dict[str, np.ndarray]:
    """Return the four arrays of paths and where they are valid, by file name."""
    return {
        f"{prefix}traj": future,
        f"{prefix}traj_history": history,
        f"{prefix}valid_steps": np.isfinite(future).all(axis=-1),
        f"{prefix}valid_steps_history": np.isfinite(history).all(axis=-1),
    }


def _padded(name: str, points: np.ndarray, count: int, columns: int) -> np.ndarray:
    """Return (K, columns, 3) float16, -inf behind the given steps."""
    fits = points.ndim == 3 and points.shape[::2] == (count, 3)
    if not fits or not 1 <= points.shape[1] <= columns:
        raise DataError(f"{name} {points.shape}, expected ({count}, 1..{columns}, 3)")
    padded = np.full((count, columns, 3), -np.inf, np.float16)
    with np.errstate(over="ignore"):
        padded[:, : points.shape[1]] = points
    lost = np.isfinite(points) & ~np.isfinite(padded[:, : points.shape[1]])
    if lost.any() or np.isnan(padded).any() or np.isposinf(padded).any():
        raise DataError(f"{name}: NaN, +inf or beyond half precision (65504); padding is -inf")
    if not np.isfinite(padded[:, 0]).all():
        raise DataError(f"{name}: column 0 is the frame itself and must be a point in every row")
    return padded
