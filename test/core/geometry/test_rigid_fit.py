# SPDX-License-Identifier: Apache-2.0
"""A rigid fit returns the motion that made the points, whatever has no weight."""

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.geometry.rigid_fit import rigid_fit


def motions(rng, count):
    T = np.tile(np.eye(4), (count, 1, 1))
    T[:, :3, :3], T[:, :3, 3] = (
        Rotation.random(count, rng).as_matrix(),
        rng.normal(size=(count, 3)),
    )
    return T


def test_it_returns_the_motion_that_made_the_points():
    rng = np.random.default_rng(0)
    points, T = rng.normal(size=(5, 7, 3)), motions(rng, 5)
    moved = np.einsum("bij,bnj->bni", T[:, :3, :3], points) + T[:, None, :3, 3]
    np.testing.assert_allclose(rigid_fit(points, moved), T, atol=1e-9)
    np.testing.assert_allclose(rigid_fit(points[2], moved[2]), T[2], atol=1e-9)


def test_points_without_weight_do_not_count():
    rng = np.random.default_rng(1)
    points, T = rng.normal(size=(7, 3)), motions(rng, 1)[0]
    moved = points @ T[:3, :3].T + T[:3, 3]
    moved[3] += 5.0
    weights = np.array([1.0, 2.0, 0.5, 0.0, 1.0, 3.0, 1.0])
    np.testing.assert_allclose(rigid_fit(points, moved, weights), T, atol=1e-9)


def test_a_mirror_image_is_met_by_a_turn():
    points = np.random.default_rng(2).normal(size=(9, 3))
    turn = rigid_fit(points, points * [1, 1, -1])[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turn) > 0.999


def test_three_points_of_a_plane_are_enough():
    rng = np.random.default_rng(3)
    points, T = np.eye(3), motions(rng, 1)[0]
    np.testing.assert_allclose(rigid_fit(points, points @ T[:3, :3].T + T[:3, 3]), T, atol=1e-9)
