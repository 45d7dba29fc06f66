# SPDX-License-Identifier: Apache-2.0
"""The folder of a film: what a sensor gives, and beside it the truth to measure with.

    color/000000.png, depth/000000.png (uint16, 0 = unknown), intrinsics.json, stamps.txt (s),
    description.txt, texts.json (first, last frame and sentence)
    truth/depth/000000.png, truth/bodies/000000.png, truth/poses.npz, truth/segments.json,
    truth/truth.json (units, seed, settings)

A reader of RGB-D folders needs nothing from ``truth``. The folder appears whole or not at all.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np

from mu0_core.errors import DataError
from mu0_core.types import CameraIntrinsics

DEPTH_UNIT_M = 0.001  # of the sensor's depth
TRUE_DEPTH_UNIT_M = 0.0001
NO_BODY = 255


class FilmWriter:
    """Writes a film beside its place and moves it there when it is complete.

    Use as a context manager: leaving it by an error removes what was written.

    Raises:
        DataError: the folder exists, or cannot be written (a full disk).
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists():
            raise DataError(f"{folder}: exists; films are never overwritten")
        self._folder = folder
        self._poses: list[tuple[np.ndarray, np.ndarray]] = []
        self._stamps_s: list[float] = []

    def __enter__(self) -> FilmWriter:
        parent = self._folder.parent
        try:
            parent.mkdir(parents=True, exist_ok=True)
            self._partial = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}.", dir=parent))
            for name in ("color", "depth", "truth/depth", "truth/bodies"):
                (self._partial / name).mkdir(parents=True)
        except OSError as error:
            raise DataError(f"{self._folder}: cannot be made ({error})") from error
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise DataError(f"{self._folder}: cannot be written ({error})") from error

    def add_frame(
        self,
        stamp_s: float,
        rgb: np.ndarray,
        depth_m: np.ndarray,
        true_depth_m: np.ndarray,
        bodies: np.ndarray,
        T_base_camera: np.ndarray,
        body_poses: np.ndarray,
    ) -> None:
        """Append a frame.

        Args:
            stamp_s: since the first frame.
            rgb: (h, w, 3) uint8; depth_m: (h, w) as the sensor gives them, NaN = unknown.
            true_depth_m: (h, w) exact.
            bodies: (h, w) body id of each pixel, -1 = none.
            T_base_camera: (4, 4); body_poses: (B, 4, 4) T_base_body.
        """
        name = f"{len(self._stamps_s):06d}.png"
        _write(self._partial / "color" / name, rgb[..., ::-1])
        _write(self._partial / "depth" / name, _in_units(depth_m, DEPTH_UNIT_M))
        truth = self._partial / "truth"
        _write(truth / "depth" / name, _in_units(true_depth_m, TRUE_DEPTH_UNIT_M))
        _write(truth / "bodies" / name, np.where(bodies < 0, NO_BODY, bodies).astype(np.uint8))
        self._stamps_s.append(stamp_s)
        self._poses.append((T_base_camera.copy(), body_poses.copy()))

    def finish(
        self,
        intrinsics: CameraIntrinsics,
        fps: float,
        description: str,
        texts: list[dict[str, object]],
        body_names: list[str],
        segments: dict[str, object],
        about: dict[str, object],
    ) -> None:
        """Write what belongs to the whole film and put the folder in its place.

        Args:
            intrinsics: of all frames; fps: nominal.
            description: a sentence about the film.
            texts: ``first``, ``last``, ``text`` of each sentence about a part of it.
            body_names: (B,) in the order of the poses.
            segments: for ``truth/segments.json``.
            about: for ``truth/truth.json``.
        """
        folder, truth = self._partial, self._partial / "truth"
        lens = {k: getattr(intrinsics, k) for k in ("width", "height", "fx", "fy", "cx", "cy")}
        _json(folder / "intrinsics.json", {**lens, "depth_unit_m": DEPTH_UNIT_M, "fps": fps})
        (folder / "stamps.txt").write_text("".join(f"{s:.6f}\n" for s in self._stamps_s))
        (folder / "description.txt").write_text(f"{description}\n")
        _json(folder / "texts.json", texts)
        cameras, bodies = (np.stack(x) for x in zip(*self._poses, strict=True))
        np.savez(
            truth / "poses.npz",
            T_base_camera=cameras,
            body_poses=bodies,
            body_names=np.array(body_names),
        )
        _json(truth / "segments.json", segments)
        _json(truth / "truth.json", {"depth_unit_m": TRUE_DEPTH_UNIT_M, **about})
        folder.chmod(0o755)
        folder.rename(self._folder)


def _in_units(depth_m: np.ndarray, unit_m: float) -> np.ndarray:
    """Return uint16 depth; 0 where unknown or too far for the unit."""
    steps = np.rint(np.nan_to_num(depth_m, nan=0.0) / unit_m)
    return np.where((steps > 0) & (steps < 2**16), steps, 0).astype(np.uint16)


def _write(path: Path, image: np.ndarray) -> None:
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(image))[1])


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")
