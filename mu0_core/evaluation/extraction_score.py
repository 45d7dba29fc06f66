# SPDX-License-Identifier: Apache-2.0
"""How well a clip of a film was extracted: its tracks and poses against the film's exact truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mu0_core.evaluation.compared_clip import ComparedClip, compare, way_m
from mu0_core.evaluation.moving_score import STILL_M, moving_labels
from mu0_core.evaluation.track_metrics import (
    camera_errors,
    evaluated_focal_px,
    position_errors,
    spread,
    tapvid3d,
)
from mu0_core.geometry import se3
from mu0_core.simulation.film_truth import load_truth
from mu0_core.trace_extract.records import Geometry, Tracks


def score_clip(
    tracks: Tracks, geometry: Geometry, film_folder: Path, kept: np.ndarray
) -> dict[str, float]:
    """Return the errors of one clip; NaN where nothing counts.

    Keys: ``points``; ``camera_m_*`` and ``camera_deg_*`` (median, p95, max over frames);
    ``error_m_*`` over all points and frames that are visible and found, and ``moving_error_m_*``
    of the points that move, in the camera of the first kept frame, so that camera drift counts;
    TAPVid-3D's ``apd``, ``oa``, ``aj`` and parts over all frames, the same with ``after_`` from
    each query frame on, with ``moving_`` of the points that move (by more than 1 cm);
    ``moving_recall``, ``object_recall`` and ``moving_precision`` (see `moving_labels`).

    Args:
        tracks: of the clip; world = camera of its first frame, or any other fixed frame.
        geometry: of the clip.
        film_folder: of the film that the clip was read from.
        kept: (T,) indices of the film's frames that the clip kept, in order.

    Raises:
        DataError: the folder has no truth, or a track is not visible in its query frame.
        ShapeError: ``kept`` does not belong to clip or film.
    """
    compared = compare(tracks, geometry, load_truth(Path(film_folder)), np.asarray(kept, int))
    cameras = compared.truth.T_base_camera[compared.kept]
    metres, degrees = camera_errors(geometry.T_world_camera, cameras)
    moves = way_m(compared.true_m) > STILL_M
    result = {"points": float(len(moves)), "moving_points": float(moves.sum())}
    result |= spread(metres, "camera_m") | spread(degrees, "camera_deg")
    result |= _point_scores(compared, np.ones(len(moves), bool), "")
    result |= _point_scores(compared, moves, "moving_")
    return result | moving_labels(compared)


def _point_scores(compared: ComparedClip, rows: np.ndarray, prefix: str) -> dict[str, float]:
    """Return position errors and TAPVid-3D's metrics of some tracks."""
    tracks, true = compared.tracks, compared.true
    seen, truly_seen = tracks.visible[rows], true.visible[rows]
    errors = position_errors(compared.found_m[rows], seen, compared.true_m[rows], truly_seen)
    result = spread(errors, f"{prefix}error_m")
    found = _in_cameras(compared.found_m[rows], compared.geometry.T_world_camera)
    truth = _in_cameras(compared.true_m[rows], compared.truth.T_base_camera[compared.kept])
    focal_px = evaluated_focal_px(compared.truth.intrinsics)
    scores = tapvid3d(found, seen, truth, truly_seen, focal_px)
    result |= {f"{prefix}{name}": value for name, value in scores.items()}
    after = np.arange(seen.shape[1]) >= tracks.query_frame[rows, None]
    scores = tapvid3d(*(x[after][None] for x in (found, seen, truth, truly_seen)), focal_px)
    return result | {f"{prefix}after_{name}": scores[name] for name in ("apd", "oa", "aj")}


def _in_cameras(first_m: np.ndarray, T_world_camera: np.ndarray) -> np.ndarray:
    """Return (P, T, 3) in the camera of each frame, of points in the first frame's camera."""
    from_first = se3.inverse(T_world_camera) @ T_world_camera[0]
    return np.einsum("tij,ptj->pti", from_first[:, :3, :3], first_m) + from_first[:, :3, 3]
