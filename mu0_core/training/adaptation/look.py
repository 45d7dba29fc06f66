# SPDX-License-Identifier: Apache-2.0
"""A frame of an episode as the robot's own selector of query points sees it."""

from __future__ import annotations

import numpy as np

from mu0_core.data.episode import EpisodeReader
from mu0_core.errors import DataError, NoQueryPointsError
from mu0_core.geometry import camera
from mu0_core.inference.keypoints import PlaneSelector, SelectorSettings, fit_plane
from mu0_core.types import CameraIntrinsics, RgbdFrame

SELECTED = 32  # query points, as many as a robot at work asks about


class Look:
    """A frame as the robot's selector sees it. Places are x px, y px from the corner, z m."""

    def __init__(self, episode: EpisodeReader, frame: int, lens: CameraIntrinsics) -> None:
        self._lens, depth_m = lens, np.asarray(depths_m(episode)[frame], np.float32)
        self._frame = RgbdFrame(np.asarray(episode.images[frame]), depth_m, lens, "camera", 0)

    def metres(self, places: np.ndarray) -> np.ndarray:
        """Return places (K, 3) in the optical frame."""
        return camera.unproject(places.astype(float) - (0.5, 0.5, 0.0), self._lens)

    def query_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Return places (K, 3) that a robot would ask about and their entities (K,)."""
        try:
            query = PlaneSelector().select(self._frame, SELECTED)
        except NoQueryPointsError:  # no table
            return np.empty((0, 3)), np.empty(0, np.int64)
        places = np.concatenate([query.uv_px + 0.5, query.depth_m[:, None]], axis=1)
        known = np.isfinite(places).all(axis=1)
        return places[known].astype(float), query.entity_ids[known].astype(np.int64)

    def may_be_asked(self, places: np.ndarray) -> np.ndarray:
        """Return (K,) bool: on what stands on the table; all where there is no table."""
        limits = SelectorSettings()
        rows, columns = np.mgrid[: self._lens.height : 4, : self._lens.width : 4]
        grid = np.stack([columns, rows, self._frame.depth_m[::4, ::4]], axis=-1).reshape(-1, 3)
        known = np.isfinite(grid[:, 2]) & (grid[:, 2] > 0)
        try:
            normal, offset = fit_plane(camera.unproject(grid[known], self._lens), limits)
        except NoQueryPointsError:
            return np.ones(len(places), bool)
        height = self.metres(places) @ normal + offset
        return (height > limits.min_height_m) & (height < limits.max_height_m)


def depths_m(episode: EpisodeReader) -> np.ndarray:
    """Return depth (T, h, w) of an episode; raises `DataError` when it was opened without."""
    if episode.depth_m is None:
        raise DataError(f"{episode.directory}: opened without depth")
    return episode.depth_m
