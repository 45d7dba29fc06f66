# SPDX-License-Identifier: Apache-2.0
"""Episode directories of the released data format, read without copying (memory-mapped).

A directory holds T frames and F slots. A slot is one frame t with Nt rows: each row is a point
with its path from t on (``traj``) and back from t (``traj_history``), column 0 being t in both.
Points are (x px, y px, z m) in the camera of frame t, pixels measured from the image's corner;
columns are steps of equal path length, not of time; padding is -inf. The same paths in steps of
one frame each lie beside them under the prefix ``raw_`` (`Steps`). Every file is checked before it
is used; nothing is ever unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from mu0_core.data.cameras import read_intrinsics
from mu0_core.data.captions import Captions
from mu0_core.errors import DataError
from mu0_core.types import CameraIntrinsics

CAPTIONS_FILE = "curated_training_texts.json"


class Steps(Enum):
    """What one column of a path is; the value is the prefix of the files."""

    ARC_LENGTH = ""
    TIME = "raw_"


_PATH_FILES = ("traj", "traj_history", "valid_steps", "valid_steps_history")


@dataclass(frozen=True, slots=True)
class Slot:
    """The rows of one frame.

    Attributes:
        frame: index t of the frame.
        future: (K, H + 1, 3) float32 from t on; -inf where padded.
        valid_future: (K, H + 1) bool, marked valid and finite.
        history: (K, h + 1, 3) float32 from t backwards; -inf where padded.
        valid_history: (K, h + 1) bool, marked valid and finite.
        is_moving: (K,) bool.
        cluster_ids: (K,) int64 rigid entity, -1 = none.
    """

    frame: int
    future: np.ndarray
    valid_future: np.ndarray
    history: np.ndarray
    valid_history: np.ndarray
    is_moving: np.ndarray
    cluster_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.is_moving)


class EpisodeReader:
    """One episode directory.

    Attributes:
        directory: where it lies.
        images: (T, h, w, 3) uint8.
        depth_m: (T, h, w) float16, or None when not asked for; NaN where unknown.
        captions: instructions, empty when the episode has none.
        frame_indices: (F,) frame of each slot.
        history_len: h, steps back of a slot.
        future_len: H, steps ahead of a slot.
    """

    def __init__(
        self,
        directory: Path,
        *,
        history_len: int = 8,
        future_len: int = 32,
        with_depth: bool = True,
        steps: Steps = Steps.ARC_LENGTH,
    ) -> None:
        """Map the files and check how they fit together; slots are checked when read.

        Args:
            directory: of the episode.
            history_len: h, steps back that a slot must have columns for.
            future_len: H, steps ahead that a slot must have columns for.
            with_depth: depth.npy must be there.
            steps: which version of the paths is read.

        Raises:
            DataError: a file is missing, cut short, of another shape or type, or disagrees.
        """
        self.directory = Path(directory)
        self.history_len, self.future_len = history_len, future_len
        self.images = self._map("images.npy", "u", (None, None, None, 3))
        frames, height, width, _ = self.images.shape
        if 0 in self.images.shape:
            raise DataError(f"{self.directory}/images.npy: {self.images.shape} holds no pixel")
        depth_shape = (frames, height, width)
        self.depth_m = self._map("depth.npy", "f", depth_shape) if with_depth else None
        self.frame_indices = self._map("samples/frame_indices.npy", "i", (None,))
        self._offsets = self._map("samples/offsets.npy", "i", (len(self.frame_indices) + 1,))
        self._is_moving = self._map("samples/is_moving.npy", "b", (None,))
        rows = len(self._is_moving)
        self._names = tuple(f"samples/{steps.value}{name}.npy" for name in _PATH_FILES)
        traj, history, valid, valid_history = self._names
        self._traj = self._map(traj, "f", (rows, None, 3))
        self._traj_history = self._map(history, "f", (rows, None, 3))
        self._valid = self._map(valid, "b", self._traj.shape[:2])
        self._valid_history = self._map(valid_history, "b", self._traj_history.shape[:2])
        self._cluster_ids = self._clusters(rows)
        path = self.directory / CAPTIONS_FILE
        self.captions = Captions.from_file(path) if path.exists() else Captions()
        self._check_columns()
        self._check_index(frames, rows)

    @property
    def image_size(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        return self.images.shape[2], self.images.shape[1]

    def __len__(self) -> int:
        return len(self.frame_indices)

    def intrinsics(self) -> list[CameraIntrinsics]:
        """Read those of every frame, for the stored images; raises `DataError` without them."""
        return read_intrinsics(self.directory, len(self.images), self.image_size)

    def slot(self, index: int) -> Slot:
        """Return the rows of slot ``index``.

        Raises:
            DataError: there is no such slot, or a path holds NaN or +inf.
        """
        if not 0 <= index < len(self):
            raise DataError(f"{self.directory}: slot {index} of {len(self)}")
        rows = slice(int(self._offsets[index]), int(self._offsets[index + 1]))
        paths = []
        for name, points, marked, columns in (
            (self._names[0], self._traj, self._valid, self.future_len + 1),
            (self._names[1], self._traj_history, self._valid_history, self.history_len + 1),
        ):
            path = np.array(points[rows, :columns], np.float32)
            if np.isnan(path).any() or np.isposinf(path).any():
                raise DataError(
                    f"{self.directory}/{name}: slot {index} holds NaN or +inf; "
                    "padding must be -inf"
                )
            paths += [path, np.asarray(marked[rows, :columns]) & np.isfinite(path).all(axis=-1)]
        return Slot(
            int(self.frame_indices[index]),
            *paths,
            np.asarray(self._is_moving[rows]),
            np.asarray(self._cluster_ids[rows], np.int64),
        )

    def _map(self, name: str, kind: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """Map ``name`` and check dtype kind and shape (None = any)."""
        path = self.directory / name
        try:
            array = np.lib.format.open_memmap(path, mode="r")  # refuses pickles and archives
        except FileNotFoundError:
            raise DataError(f"{path}: missing") from None
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: cut short or no .npy file ({error})") from error
        fits = len(shape) == array.ndim and all(
            w is None or w == a for w, a in zip(shape, array.shape)
        )
        if not fits or array.dtype.kind != kind or (kind == "u" and array.dtype != np.uint8):
            raise DataError(
                f"{path}: {array.shape} {array.dtype}, expected {shape} (None = any) "
                f"of kind {kind!r}"
            )
        return array

    def _clusters(self, rows: int) -> np.ndarray:
        if (self.directory / "samples/cluster_ids.npy").exists():
            return self._map("samples/cluster_ids.npy", "i", (rows,))
        return np.full(rows, -1, np.int64)

    def _check_columns(self) -> None:
        for name, array, needed in (
            (self._names[0], self._traj, self.future_len + 1),
            (self._names[1], self._traj_history, self.history_len + 1),
        ):
            if array.shape[1] < needed:
                raise DataError(
                    f"{self.directory}/{name}: {array.shape[1]} columns, need {needed}"
                )

    def _check_index(self, frames: int, rows: int) -> None:
        offsets, indices = self._offsets, self.frame_indices
        if offsets[0] != 0 or offsets[-1] != rows or np.any(np.diff(offsets) < 0):
            raise DataError(
                f"{self.directory}/samples/offsets.npy: must rise from 0 to {rows}, is "
                f"{offsets[0]}..{offsets[-1]}"
            )
        if len(indices) and (indices.min() < 0 or indices.max() >= frames):
            raise DataError(
                f"{self.directory}/samples/frame_indices.npy: {indices.min()}..{indices.max()}, "
                f"but the episode has frames 0..{frames - 1}"
            )
