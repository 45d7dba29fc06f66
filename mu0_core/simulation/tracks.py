# SPDX-License-Identifier: Apache-2.0
"""Exact tracks of pixels: a point is fixed in the body under it and moves with that body."""

from __future__ import annotations

import numpy as np

from mu0_core.geometry import camera, se3
from mu0_core.types import CameraIntrinsics, QueryPoints


def body_tracks(
    query: QueryPoints,
    query_body: np.ndarray,
    intrinsics: CameraIntrinsics,
    T_base_camera: np.ndarray,
    body_poses: np.ndarray,
    now: int,
) -> np.ndarray:
    """Return tracks (K, N, 3) in the optical frame in metres, over all K pose samples.

    Args:
        query: N points with depth in the image taken at pose sample ``now``.
        query_body: (N,) body id under each point; -1 = background, which does not move.
        intrinsics, T_base_camera: of that image (the camera does not move).
        body_poses: (K, bodies, 4, 4) T_base_body.
        now: index of the image in ``body_poses``.
    """
    uvz = np.concatenate([query.uv_px, query.depth_m[:, None]], axis=1).astype(float)
    in_base = se3.apply(T_base_camera, camera.unproject(uvz, intrinsics))
    body = np.where(query_body < 0, 0, query_body)
    to_body = se3.inverse(body_poses[now, body])
    local = np.einsum("nij,nj->ni", to_body[:, :3, :3], in_base) + to_body[:, :3, 3]
    poses = body_poses[:, body]
    moved = np.einsum("knij,nj->kni", poses[..., :3, :3], local) + poses[..., :3, 3]
    return se3.apply(se3.inverse(T_base_camera), moved)
