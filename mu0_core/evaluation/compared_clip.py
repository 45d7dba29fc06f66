# SPDX-License-Identifier: Apache-2.0
"""A clip's tracks beside the film's exact truth, in one frame of reference.

The true point of a track is the one under its pixel in its query frame, whatever lies there, so a
track that begins on an edge or slides off its object is measured against what it claimed to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import DataError, ShapeError
from mu0_core.geometry import se3
from mu0_core.simulation.film_tracks import TrueTracks, true_tracks
from mu0_core.simulation.film_truth import FilmTruth
from mu0_core.trace_extract.records import Geometry, Tracks


@dataclass(frozen=True, slots=True)
class ComparedClip:
    """Tracks that start on something, beside their truth.

    Attributes:
        tracks, geometry: as extracted.
        truth: of the film.
        kept: (T,) indices of the film's frames that the clip kept.
        found_m: (P, T, 3) extracted positions in the camera of the first kept frame.
        true: the exact tracks.
        true_m: (P, T, 3) exact positions in the camera of the first kept frame.
    """

    tracks: Tracks
    geometry: Geometry
    truth: FilmTruth
    kept: np.ndarray
    found_m: np.ndarray
    true: TrueTracks
    true_m: np.ndarray


def compare(
    tracks: Tracks, geometry: Geometry, truth: FilmTruth, kept: np.ndarray
) -> ComparedClip:
    """Return tracks and truth in one frame; tracks that start on nothing are left out.

    Raises:
        DataError: a track is not visible in its query frame.
        ShapeError: the lengths disagree, or ``kept`` does not belong to the film.
    """
    frames = tracks.visible.shape[1]
    if kept.shape != (frames,) or len(geometry.T_world_camera) != frames:
        raise ShapeError(
            f"kept {kept.shape}, poses {geometry.T_world_camera.shape}, tracks of {frames} frames"
        )
    query = tracks.query_frame.astype(int)
    rows = np.arange(len(query))
    if not tracks.visible[rows, query].all():
        bad = int(np.flatnonzero(~tracks.visible[rows, query])[0])
        raise DataError(f"track {bad} is not visible in its query frame {query[bad]}")
    uv_px = _to_film(tracks.uv_px[rows, query], geometry, truth)
    true = true_tracks(truth, kept[query], uv_px, kept)
    known = true.body >= 0
    tracks = Tracks(*(getattr(tracks, name)[known] for name in Tracks.__slots__))
    true = TrueTracks(true.base_m[known], true.visible[known], true.body[known])
    found_m = se3.apply(se3.inverse(geometry.T_world_camera[0]), tracks.world_m.astype(float))
    true_m = se3.apply(se3.inverse(truth.T_base_camera[kept[0]]), true.base_m)
    return ComparedClip(tracks, geometry, truth, kept, found_m, true, true_m)


def _to_film(uv_px: np.ndarray, geometry: Geometry, truth: FilmTruth) -> np.ndarray:
    """Return pixels of the film for pixels of a clip that may be smaller."""
    clip, film = geometry.intrinsics, truth.intrinsics
    scale = np.array([film.width / clip.width, film.height / clip.height])
    inside = np.clip(uv_px, -0.5, np.array([clip.width, clip.height]) - 0.51)
    return (inside.astype(float) + 0.5) * scale - 0.5


def way_m(points_m: np.ndarray) -> np.ndarray:
    """Return how far (P,) points (P, T, 3) go: the diagonal of the box around their way."""
    return np.linalg.norm(np.ptp(points_m, axis=1), axis=-1)
