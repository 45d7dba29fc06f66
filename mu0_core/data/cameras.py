# SPDX-License-Identifier: Apache-2.0
"""``cameras.npz`` of an episode: one camera matrix per frame, in pixels with integer centres.

The paths beside it are measured from the image's corner, half a pixel further; u and v in [-1, 1]
are the common ground (`mu0_core.geometry.camera`). A training never reads this file.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from mu0_core.errors import DataError, ObservationError
from mu0_core.types import CameraIntrinsics

CAMERAS_FILE = "cameras.npz"
_SIZE = ("width", "height")


def read_intrinsics(directory: Path, frames: int, size: tuple[int, int]) -> list[CameraIntrinsics]:
    """Return the intrinsics of every frame, for images of the stored size.

    Args:
        directory: of the episode.
        frames: T.
        size: width and height of the stored images in pixels; matrices of images of another size
            are scaled.

    Raises:
        DataError: the file is missing or damaged, or a matrix is none of a camera.
    """
    path = directory / CAMERAS_FILE
    try:
        with np.load(path, allow_pickle=False) as data:
            matrices = np.asarray(data["intrinsics"], np.float64)
            width, height = (int(data[k]) if k in data else s for k, s in zip(_SIZE, size))
    except FileNotFoundError:
        raise DataError(f"{path}: missing") from None
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if matrices.shape != (frames, 3, 3):
        raise DataError(f"{path}: intrinsics {matrices.shape}, expected {(frames, 3, 3)}")
    try:
        numbers = matrices[:, [0, 1, 0, 1], [0, 1, 2, 2]].tolist()  # fx, fy, cx, cy
        return [CameraIntrinsics(width, height, *row).scaled(*size) for row in numbers]
    except ObservationError as error:
        raise DataError(f"{path}: {error}") from error
