# SPDX-License-Identifier: Apache-2.0
"""Errors of 3D point tracks and camera trajectories against exact truth.

APD, OA and AJ are TAPVid-3D's (arXiv 2407.05921) as its released code computes them, in the mode
without rescaling (``scaling="none"``): extraction claims metres, so a wrong scale is an error. The
distance threshold of a point is metric: d pixels at its true depth, d * z / f, with d in 1, 2, 4,
8, 16 and f the focal length in pixels of the picture scaled to a smallest side of 256 px. Points
are compared in the camera of each frame; all frames count, the query frame too.

Symbols: P points, T frames.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.errors import DataError, ShapeError
from mu0_core.geometry import se3
from mu0_core.types import CameraIntrinsics

THRESHOLDS_PX = (1, 2, 4, 8, 16)
EVALUATED_SIDE_PX = 256


def evaluated_focal_px(intrinsics: CameraIntrinsics) -> float:
    """Return the focal length that the thresholds refer to: both axes' geometric mean."""
    scale = EVALUATED_SIDE_PX / min(intrinsics.width, intrinsics.height)
    return float(np.sqrt(intrinsics.fx * intrinsics.fy) * scale)


def tapvid3d(
    predicted_m: np.ndarray,
    predicted_visible: np.ndarray,
    truth_m: np.ndarray,
    truth_visible: np.ndarray,
    focal_px: float,
) -> dict[str, float]:
    """Return ``apd``, ``oa``, ``aj`` and ``pts_within_d``, ``jaccard_d``, shares of 1.

    APD is the share of truly visible points within the threshold, whether they are predicted to
    be visible or not; the Jaccard index counts those that are, over the truly visible points plus
    the points that are predicted to be visible and are hidden or beyond the threshold. OA is the
    share of points whose visibility is right. NaN where nothing counts. A predicted position that
    is not finite is beyond every threshold.

    Args:
        predicted_m: (P, T, 3) in the camera of each frame.
        predicted_visible: (P, T) bool.
        truth_m: (P, T, 3) in the camera of each frame; finite where visible.
        truth_visible: (P, T) bool.
        focal_px: see `evaluated_focal_px`.

    Raises:
        ShapeError: the shapes disagree.
        DataError: a visible true point is not finite.
    """
    _check_tracks(predicted_m, truth_m, predicted_visible, truth_visible)
    distance = _distance(predicted_m, truth_m, truth_visible)
    unit = np.where(truth_visible, truth_m[..., 2], 0.0) / focal_px
    result = {"oa": _share(predicted_visible == truth_visible)}
    seen, shown = truth_visible.sum(), predicted_visible.sum()
    for threshold in THRESHOLDS_PX:
        correct = truth_visible & (distance < threshold * unit)
        hits = (correct & predicted_visible).sum()
        result[f"pts_within_{threshold}"] = _ratio(correct.sum(), seen)
        result[f"jaccard_{threshold}"] = _ratio(hits, seen + shown - hits)
    for name, part in (("apd", "pts_within"), ("aj", "jaccard")):
        result[name] = float(np.mean([result[f"{part}_{d}"] for d in THRESHOLDS_PX]))
    return result


def position_errors(
    predicted_m: np.ndarray,
    predicted_visible: np.ndarray,
    truth_m: np.ndarray,
    truth_visible: np.ndarray,
) -> np.ndarray:
    """Return the 3D errors in metres of all points that both call visible, in one row.

    Args:
        predicted_m, truth_m: (P, T, 3) in one frame of reference.
        predicted_visible, truth_visible: (P, T) bool.

    Raises:
        ShapeError: the shapes disagree.
        DataError: a visible point is not finite.
    """
    _check_tracks(predicted_m, truth_m, predicted_visible, truth_visible)
    both = predicted_visible & truth_visible
    errors = np.linalg.norm(predicted_m[both] - truth_m[both], axis=-1)
    if not np.isfinite(errors).all():
        raise DataError("a track is visible where its position is not finite")
    return errors


def moving_recall(truly: np.ndarray, found: np.ndarray) -> float:
    """Return the share of what truly moves that holds a track labelled moving; NaN of nothing.

    What may move is counted in places, such as patches of the picture in one frame, so that a
    large thing counts for more than a small one and many tracks on one spot count once.

    Args:
        truly: (N,) bool of places, where something truly moves.
        found: (N,) bool, where a track is labelled moving.

    Raises:
        ShapeError: the shapes disagree.
    """
    if np.shape(truly) != np.shape(found):
        raise ShapeError(f"places {np.shape(truly)} and {np.shape(found)} disagree")
    return _ratio(np.sum(truly & found), np.sum(truly))


def moving_precision(truly: np.ndarray) -> float:
    """Return the share of tracks labelled moving (M,) bool that truly move; NaN without any."""
    return _share(truly)


def camera_errors(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the camera's error per frame: (T,) metres and (T,) degrees.

    Both trajectories are first expressed in the camera of their own frame 0; nothing else is
    aligned, so frame 0 has no error and drift shows as it is (absolute trajectory error).

    Args:
        predicted, truth: (T, 4, 4) T_world_camera, each in its own world.

    Raises:
        ShapeError: the shapes disagree.
        DataError: a pose is not finite.
    """
    if predicted.shape != truth.shape or predicted.shape[1:] != (4, 4) or not len(truth):
        raise ShapeError(f"poses {predicted.shape} and {truth.shape}: expected equal (T, 4, 4)")
    if not (np.isfinite(predicted).all() and np.isfinite(truth).all()):
        raise DataError("a camera pose is not finite")
    here, there = (se3.inverse(poses[0]) @ poses for poses in (predicted, truth))
    metres = np.linalg.norm(here[:, :3, 3] - there[:, :3, 3], axis=1)
    turn = np.swapaxes(there[:, :3, :3], 1, 2) @ here[:, :3, :3]
    return metres, np.degrees(Rotation.from_matrix(turn).magnitude())


def spread(values: np.ndarray, name: str) -> dict[str, float]:
    """Return ``name_median``, ``name_p95`` and ``name_max``; NaN without values."""
    if not len(values):
        return {f"{name}_{k}": float("nan") for k in ("median", "p95", "max")}
    median, p95 = np.percentile(values, [50, 95])
    return {
        f"{name}_median": float(median),
        f"{name}_p95": float(p95),
        f"{name}_max": float(np.max(values)),
    }


def _check_tracks(
    predicted_m: np.ndarray,
    truth_m: np.ndarray,
    predicted_visible: np.ndarray,
    truth_visible: np.ndarray,
) -> None:
    shape = truth_visible.shape
    if len(shape) != 2 or predicted_visible.shape != shape:
        raise ShapeError(f"visibility {predicted_visible.shape}, {shape}: expected equal (P, T)")
    if predicted_m.shape != (*shape, 3) or truth_m.shape != (*shape, 3):
        raise ShapeError(f"tracks {predicted_m.shape}, {truth_m.shape}: expected {(*shape, 3)}")
    if not np.isfinite(truth_m[truth_visible]).all():
        raise DataError("a visible true point is not finite")


def _distance(predicted_m: np.ndarray, truth_m: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Return (P, T) metres; infinite where the prediction is not finite or truth not visible."""
    usable = visible & np.isfinite(predicted_m).all(axis=-1)
    distance = np.full(visible.shape, np.inf)
    distance[usable] = np.linalg.norm(predicted_m[usable] - truth_m[usable], axis=-1)
    return distance


def _share(flags: np.ndarray) -> float:
    return _ratio(np.sum(flags), np.size(flags))


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")
