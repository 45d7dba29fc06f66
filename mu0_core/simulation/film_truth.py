# SPDX-License-Identifier: Apache-2.0
"""Read the truth of a film: poses of camera and bodies, exact depth, the body of each pixel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mu0_core.errors import DataError
from mu0_core.simulation.film_folder import NO_BODY
from mu0_core.types import CameraIntrinsics


@dataclass(frozen=True, slots=True)
class FilmTruth:
    """The poses of a film; its pictures are read when needed.

    Attributes:
        folder: the film's ``truth`` folder.
        intrinsics: of all its pictures.
        T_base_camera: (T, 4, 4).
        body_poses: (T, B, 4, 4) T_base_body.
        body_names: B names; body 0 is everything that never moves.
        depth_unit_m: of the depth pictures.
        seed: of the episode.
        segments: as in ``segments.json``, see `film_log`.
    """

    folder: Path
    intrinsics: CameraIntrinsics
    T_base_camera: np.ndarray
    body_poses: np.ndarray
    body_names: tuple[str, ...]
    depth_unit_m: float
    seed: int
    segments: dict[str, object]

    def __len__(self) -> int:
        return len(self.T_base_camera)

    def depth_m(self, frame: int) -> np.ndarray:
        """Return exact depth (h, w) float64, NaN where there is none."""
        units = self._picture("depth", frame).astype(float)
        return np.where(units > 0, units * self.depth_unit_m, np.nan)

    def bodies(self, frame: int) -> np.ndarray:
        """Return the body id (h, w) int of each pixel; -1 = none."""
        ids = self._picture("bodies", frame).astype(int)
        return np.where(ids == NO_BODY, -1, ids)

    def _picture(self, kind: str, frame: int) -> np.ndarray:
        path = self.folder / kind / f"{frame:06d}.png"
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise DataError(f"{path}: missing or broken")
        return image


def load_truth(film: Path) -> FilmTruth:
    """Read the truth of a film's folder.

    Raises:
        DataError: a file is missing or broken.
    """
    truth = Path(film) / "truth"
    try:
        lens = json.loads((film / "intrinsics.json").read_text())
        about = json.loads((truth / "truth.json").read_text())
        segments = json.loads((truth / "segments.json").read_text())
        with np.load(truth / "poses.npz", allow_pickle=False) as poses:
            cameras, bodies = poses["T_base_camera"], poses["body_poses"]
            names = tuple(str(name) for name in poses["body_names"])
        intrinsics = CameraIntrinsics(
            *(lens[k] for k in ("width", "height", "fx", "fy", "cx", "cy"))
        )
        unit_m, seed = float(about["depth_unit_m"]), int(about["seed"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{film}: no film with truth ({type(error).__name__}: {error})") from error
    return FilmTruth(truth, intrinsics, cameras, bodies, names, unit_m, seed, segments)
