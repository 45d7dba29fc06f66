# SPDX-License-Identifier: Apache-2.0
"""Exact tracks of a film's pixels: where their points are at any time, and whether they are seen.

A point is fixed in the body under its pixel in its query frame and moves with it, exactly. Its
depth there is read from the exact depth picture between pixels: 1 / z is linear over the image of
a plane, so it is interpolated among the surrounding pixels that show the same body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ShapeError
from mu0_core.geometry import camera, se3
from mu0_core.simulation.film_truth import FilmTruth
from mu0_core.types import CameraIntrinsics

# Agreement of a point's depth with the picture's, up to 1 m; beyond, it grows with the square of
# the distance, as the depth between two pixels of a slanted surface does. A bowl's wall is 6 mm.
VISIBLE_M = 0.004


@dataclass(frozen=True, slots=True)
class Anchors:
    """Points fixed in bodies.

    Attributes:
        body: (P,) int body id; -1 = nothing was there.
        local_m: (P, 3) in the frame of the body; NaN where nothing was there.
    """

    body: np.ndarray
    local_m: np.ndarray


@dataclass(frozen=True, slots=True)
class TrueTracks:
    """Exact tracks of P points over T frames.

    Attributes:
        base_m: (P, T, 3) in the base frame; NaN for a point that starts where nothing is.
        visible: (P, T) bool: it projects into the image, and there one of the four surrounding
            pixels shows its body at its depth within `VISIBLE_M` (more beyond 1 m).
        body: (P,) int body id of each point; -1 = nothing.
    """

    base_m: np.ndarray
    visible: np.ndarray
    body: np.ndarray


def true_tracks(
    truth: FilmTruth,
    query_frame: int | np.ndarray,
    uv_px: np.ndarray,
    frames: np.ndarray | None = None,
) -> TrueTracks:
    """Return where the points under pixels are in all frames.

    Args:
        truth: of the film.
        query_frame: of all points, or (P,) of each.
        uv_px: (P, 2) pixels with integer centres in the film's pictures.
        frames: (T,) indices into the film; None = all.

    Raises:
        ShapeError: a shape disagrees, a frame or a pixel lies outside the film.
    """
    frames = np.arange(len(truth)) if frames is None else np.asarray(frames, int)
    _check_frames(truth, "frames", frames)
    anchors = anchor(truth, query_frame, uv_px)
    base_m = positions(truth, anchors, frames)
    visible = np.zeros(base_m.shape[:2], bool)
    known = np.flatnonzero(anchors.body >= 0)
    for column, frame in enumerate(frames):
        T_camera_base = se3.inverse(truth.T_base_camera[frame])
        in_camera = se3.apply(T_camera_base, base_m[known, column])
        uvz = camera.project(in_camera, truth.intrinsics)
        visible[known, column] = _is_seen(truth, frame, uvz, anchors.body[known])
    return TrueTracks(base_m, visible, anchors.body)


def positions(truth: FilmTruth, anchors: Anchors, frames: np.ndarray) -> np.ndarray:
    """Return where points are, (P, T, 3) in the base frame, in frames (T,); NaN for nothing."""
    poses = truth.body_poses[np.asarray(frames, int)[None], np.maximum(anchors.body, 0)[:, None]]
    turned = np.einsum("ptij,pj->pti", poses[..., :3, :3], anchors.local_m)
    return turned + poses[..., :3, 3]


def anchor(truth: FilmTruth, query_frame: int | np.ndarray, uv_px: np.ndarray) -> Anchors:
    """Fix points in what is under pixels (P, 2) in the query frame, one for all or (P,).

    Raises:
        ShapeError: a shape disagrees, a frame or a pixel lies outside the film.
    """
    uv_px, lens = np.asarray(uv_px, float), truth.intrinsics
    if uv_px.ndim != 2 or uv_px.shape[1] != 2:
        raise ShapeError(f"uv_px {uv_px.shape}, expected (P, 2)")
    query = np.broadcast_to(np.asarray(query_frame, int), uv_px.shape[:1])
    _check_frames(truth, "query_frame", query)
    if not _inside(lens, uv_px).all():
        raise ShapeError("a query pixel is not finite or lies outside the picture")
    body, local_m = np.full(len(uv_px), -1), np.full((len(uv_px), 3), np.nan)
    for frame in np.unique(query):
        rows = np.flatnonzero(query == frame)
        body[rows], z = _under(lens, truth.depth_m(frame), truth.bodies(frame), uv_px[rows])
        in_camera = camera.unproject(np.column_stack([uv_px[rows], z]), lens)
        in_base = se3.apply(truth.T_base_camera[frame], in_camera)
        to_body = se3.inverse(truth.body_poses[frame, np.maximum(body[rows], 0)])
        local_m[rows] = np.einsum("nij,nj->ni", to_body[:, :3, :3], in_base) + to_body[:, :3, 3]
    return Anchors(body, local_m)


def _check_frames(truth: FilmTruth, name: str, index: np.ndarray) -> None:
    if index.size and not 0 <= index.min() <= index.max() < len(truth):
        raise ShapeError(
            f"{name} {index.min()}..{index.max()} outside the film 0..{len(truth) - 1}"
        )


def _inside(lens: CameraIntrinsics, uv_px: np.ndarray) -> np.ndarray:
    high = np.array([lens.width, lens.height]) - 0.5
    with np.errstate(invalid="ignore"):
        return ((uv_px >= -0.5) & (uv_px < high)).all(axis=-1)


def _corners(lens: CameraIntrinsics, uv_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and rows (P, 4) of the surrounding pixels, kept inside the picture."""
    low = np.floor(uv_px).astype(int)
    columns = np.clip(low[:, :1] + np.array([0, 1, 0, 1]), 0, lens.width - 1)
    rows = np.clip(low[:, 1:] + np.array([0, 0, 1, 1]), 0, lens.height - 1)
    return columns, rows


def _under(
    lens: CameraIntrinsics, depth_m: np.ndarray, bodies: np.ndarray, uv_px: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return body (P,) and depth (P,) of the surface that the nearest pixel shows; -1, NaN = none.

    Depth is taken between the pixels around that show the same body within 2 % of its depth.
    """
    columns, rows = _corners(lens, uv_px)
    right, below = np.moveaxis(uv_px - np.floor(uv_px), 1, 0)[..., None]
    across = np.concatenate([1 - right, right, 1 - right, right], axis=1)
    down = np.concatenate([1 - below, 1 - below, below, below], axis=1)
    weight, z, body = across * down, depth_m[rows, columns], bodies[rows, columns]
    nearest = weight.argmax(axis=1)[:, None]
    same = body == np.take_along_axis(body, nearest, axis=1)
    same &= np.abs(z / np.take_along_axis(z, nearest, axis=1) - 1) < 0.02
    weight = np.where(same, weight, 0.0)
    inverse = (weight / np.where(same, z, 1.0)).sum(axis=1)
    depth = np.divide(weight.sum(axis=1), inverse, out=np.full(len(z), np.nan), where=inverse > 0)
    seen = np.take_along_axis(body, nearest, axis=1)[:, 0]
    return np.where(np.isfinite(depth), seen, -1), depth


def _is_seen(truth: FilmTruth, frame: int, uvz: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Return (P,) whether the picture shows the points there."""
    seen = _inside(truth.intrinsics, uvz[:, :2])
    columns, rows = _corners(truth.intrinsics, uvz[seen, :2])
    z = uvz[seen, 2:]
    agrees = np.abs(truth.depth_m(frame)[rows, columns] - z) < VISIBLE_M * np.maximum(1.0, z**2)
    same = truth.bodies(frame)[rows, columns] == body[seen, None]
    seen[seen] = (agrees & same).any(axis=1)
    return seen
