# SPDX-License-Identifier: Apache-2.0
"""Pixel tracks to 3D tracks through depth and camera poses, and world tracks to pixels.

A point is visible where its tracker says so, inside the image, and where its depth is known.
"""

from __future__ import annotations

import numpy as np

from mu0_core.geometry import camera, se3
from mu0_core.trace_extract.backends.klt_step import depth_near
from mu0_core.trace_extract.records import Geometry, Keypoints, Tracks
from mu0_core.trace_extract.stages.frame_view import smooth_depth

REACH_M = 0.12
"""Depth change between a clear sight of a point and one at an edge, at most (both ways)."""


def depth_of_tracks(uv_px: np.ndarray, seen: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    """Return (P, T) depth of pixel tracks in metres; NaN where unknown or not seen.

    The median of 3 x 3 pixels where they lie on one surface. At an edge two surfaces are in
    reach; there it is the one that agrees with the point's clear sight nearest in time.

    Args:
        uv_px: (P, T, 2) pixels; NaN where not followed.
        seen: (P, T) bool.
        depth_m: (T, h, w); NaN where unknown; may be memory-mapped.
    """
    pixels = np.where(seen[..., None], uv_px, np.nan)
    z = np.full(seen.shape, np.nan)
    for frame in np.flatnonzero(seen.any(axis=0)):
        z[:, frame] = smooth_depth(np.asarray(depth_m[frame], np.float32), pixels[:, frame])
    expected = nearest_known(z)
    missing = seen & np.isnan(z) & np.isfinite(expected)
    for frame in np.flatnonzero(missing.any(axis=0)):
        rows = np.flatnonzero(missing[:, frame])
        here = np.asarray(depth_m[frame], np.float32)
        z[rows, frame] = depth_near(here, pixels[rows, frame], expected[rows, frame], REACH_M)
    return z


def nearest_known(values: np.ndarray) -> np.ndarray:
    """Fill the NaN of each row (P, T) with the row's nearest known value, the earlier at a tie."""
    frames = np.arange(values.shape[1])
    known = np.isfinite(values)
    before = np.maximum.accumulate(np.where(known, frames, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, frames, len(frames) * 3)[:, ::-1], axis=1)
    after = after[:, ::-1]
    far_before = np.where(before < 0, len(frames) * 3, frames - before)
    nearest = np.where(far_before <= after - frames, before, after)
    filled = np.take_along_axis(values, np.clip(nearest, 0, len(frames) - 1), axis=1)
    return np.where(known.any(axis=1, keepdims=True), filled, np.nan)


def tracks_from_pixels(
    uv_px: np.ndarray, seen: np.ndarray, geometry: Geometry, queries: Keypoints
) -> Tracks:
    """Return 3D tracks of pixel tracks (P, T, 2), integers at pixel centres."""
    seen = seen & inside(uv_px, geometry)
    z = depth_of_tracks(uv_px, seen, geometry.depth_m)
    local = camera.unproject(np.concatenate([uv_px, z[..., None]], -1), geometry.intrinsics)
    T = geometry.T_world_camera
    world = np.einsum("tij,ptj->pti", T[:, :3, :3], local) + T[:, :3, 3]
    return _tracks(uv_px, world, seen & np.isfinite(z), queries)


def tracks_from_world(
    world_m: np.ndarray, seen: np.ndarray, geometry: Geometry, queries: Keypoints
) -> Tracks:
    """Return tracks of points (P, T, 3) in metres in the world of ``geometry``."""
    T = se3.inverse(geometry.T_world_camera)
    local = np.einsum("tij,ptj->pti", T[:, :3, :3], world_m) + T[:, :3, 3]
    uv = camera.project(local, geometry.intrinsics)[..., :2]
    return _tracks(uv, world_m, seen & inside(uv, geometry), queries)


def lift_queries(queries: Keypoints, geometry: Geometry) -> np.ndarray:
    """Return (P, 3) the query points in the world in metres; NaN where their depth is unknown."""
    world = np.full((len(queries.frame), 3), np.nan)
    for frame in np.unique(queries.frame):
        rows = np.flatnonzero(queries.frame == frame)
        uv = queries.uv_px[rows].astype(float)
        z = smooth_depth(np.asarray(geometry.depth_m[frame], np.float32), uv)
        local = camera.unproject(np.column_stack([uv, z]), geometry.intrinsics)
        world[rows] = se3.apply(geometry.T_world_camera[frame], local)
    return world


def inside(uv_px: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Say where pixels (..., 2) lie in the image; False for NaN."""
    limit = np.array([geometry.intrinsics.width, geometry.intrinsics.height]) - 0.5
    with np.errstate(invalid="ignore"):
        return ((uv_px >= -0.5) & (uv_px < limit)).all(axis=-1)


def _tracks(uv: np.ndarray, world: np.ndarray, seen: np.ndarray, queries: Keypoints) -> Tracks:
    hidden = ~seen[..., None]
    return Tracks(
        np.where(hidden, np.nan, uv).astype(np.float32),
        np.where(hidden, np.nan, world).astype(np.float32),
        seen,
        queries.cluster_ids.astype(np.int32),
        queries.frame.astype(np.int32),
    )
