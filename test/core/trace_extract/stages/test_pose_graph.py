# SPDX-License-Identifier: Apache-2.0
"""Poses follow from motions between pairs; a wrong one is outvoted; a gap is named."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mu0_core.errors import DataError
from mu0_core.geometry import se3
from mu0_core.trace_extract.stages.pose_graph import Motion, solve_poses


def true_poses(count, seed=0):
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[1:, :3, 3] = rng.normal(0, 0.2, (count - 1, 3))
    poses[1:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 0.2, (count - 1, 3))).as_matrix()
    return poses


def motion(poses, a, b, offset=0.0):
    between = se3.inverse(poses[a]) @ poses[b]
    between[0, 3] += offset
    return Motion(a, b, between)


def test_exact_motions_give_back_the_poses_in_any_order():
    poses = true_poses(7)
    motions = [motion(poses, 4, 2), motion(poses, 0, 4), motion(poses, 6, 0)]
    motions += [motion(poses, 3, 6), motion(poses, 1, 3), motion(poses, 5, 2)]
    np.testing.assert_allclose(solve_poses(7, motions), poses, atol=1e-6)


def test_one_wrong_motion_among_many_is_outvoted():
    poses = true_poses(5)
    pairs = [(a, b) for a in range(5) for b in range(a + 1, 5)]
    motions = [motion(poses, a, b, 0.3 if (a, b) == (1, 3) else 0.0) for a, b in pairs]
    error = np.linalg.norm((solve_poses(5, motions) - poses)[:, :3, 3], axis=1)
    assert error.max() < 0.005


def test_loops_spread_the_error_of_a_chain():
    poses = true_poses(6)
    chain = [motion(poses, k, k + 1, 0.004) for k in range(5)]
    alone = solve_poses(6, chain)
    closed = solve_poses(6, [*chain, motion(poses, 0, 5), motion(poses, 0, 3)])
    end = [np.linalg.norm((p - poses)[-1, :3, 3]) for p in (alone, closed)]
    assert end[1] < end[0] / 2


def test_views_that_no_motion_reaches_are_named():
    poses = true_poses(4)
    with pytest.raises(DataError, match=r"views \[2, 3\] of 4"):
        solve_poses(4, [motion(poses, 0, 1), motion(poses, 2, 3)])


def test_one_view_needs_no_motion():
    np.testing.assert_array_equal(solve_poses(1, []), np.eye(4)[None])
