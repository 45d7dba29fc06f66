# SPDX-License-Identifier: Apache-2.0
"""Tracks: a point moves exactly with the body under it, seen from the camera."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mu0_core.geometry import camera, se3
from mu0_core.simulation.tracks import body_tracks
from mu0_core.types import CameraIntrinsics, QueryPoints

LENS = CameraIntrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)


def pose(rng: np.random.Generator) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix()
    T[:3, 3] = rng.uniform(-0.3, 0.3, 3)
    return T


@pytest.fixture
def scene():
    rng = np.random.default_rng(3)
    poses = np.stack([[pose(rng) for _ in range(3)] for _ in range(5)])
    poses[:, 0] = np.eye(4)
    query = QueryPoints(
        rng.uniform(0, 40, (6, 2)).astype(np.float32),
        rng.uniform(0.6, 1.2, 6).astype(np.float32),
        np.arange(6, dtype=np.uint32),
        np.zeros(6, np.uint16),
        np.zeros(6, np.uint8),
        64,
        48,
    )
    return query, np.array([1, 1, 2, 2, 0, -1]), pose(rng), poses


def test_now_is_where_the_pixel_is(scene):
    query, body, T, poses = scene
    tracks = body_tracks(query, body, LENS, T, poses, now=2)
    uvz = camera.project(tracks[2], LENS)
    np.testing.assert_allclose(uvz[:, :2], query.uv_px, atol=1e-4)
    np.testing.assert_allclose(uvz[:, 2], query.depth_m, rtol=1e-6)


def test_points_keep_their_place_in_the_frame_of_their_body(scene):
    query, body, T, poses = scene
    in_base = se3.apply(T, body_tracks(query, body, LENS, T, poses, now=2))
    for point in range(4):
        local = [
            se3.apply(se3.inverse(poses[k, body[point]]), in_base[k, point]) for k in range(5)
        ]
        np.testing.assert_allclose(local, np.tile(local[0], (5, 1)), atol=1e-9)
    assert np.ptp(in_base[:, 0], axis=0).max() > 0.05


def test_background_and_world_stand_still(scene):
    query, body, T, poses = scene
    tracks = body_tracks(query, body, LENS, T, poses, now=2)[:, 4:]
    np.testing.assert_allclose(tracks, np.broadcast_to(tracks[:1], tracks.shape), atol=1e-12)
