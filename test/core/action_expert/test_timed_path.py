# SPDX-License-Identifier: Apache-2.0
"""Timing: limits hold on every way, ends are reached at rest, corners are stops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mu0_core.action_expert.geometric.timed_path import RADIAN_M, TipLimits, time_poses
from mu0_core.errors import ConfigError, ShapeError

LIMITS = TipLimits(speed_m_s=0.3, acceleration_m_s2=1.0, period_s=0.02)


def poses(points, angles=None):
    result = np.tile(np.eye(4), (len(points), 1, 1))
    result[:, :3, 3] = points
    if angles is not None:
        result[:, :3, :3] = Rotation.from_rotvec(np.outer(angles, [0, 0, 1])).as_matrix()
    return result


@settings(max_examples=60, deadline=None)
@given(way=st.lists(st.tuples(*[st.floats(-0.5, 0.5)] * 3), min_size=2, max_size=8, unique=True))
def test_no_way_breaks_the_limits(way):
    path = time_poses(poses(np.array(way)), LIMITS)
    places = np.concatenate([[way[0]], path[:, :3, 3]])
    speed = np.linalg.norm(np.diff(places, axis=0), axis=1) / LIMITS.period_s
    assert speed.max(initial=0) <= 0.3 * 1.0001
    np.testing.assert_allclose(path[-1, :3, 3], way[-1], atol=1e-9)


def test_a_straight_line_is_a_trapezoid():
    path = time_poses(poses([[0, 0, 0], [0.6, 0, 0]]), LIMITS)
    assert len(path) * 0.02 == pytest.approx(0.6 / 0.3 + 0.3 / 1.0, abs=0.021)
    speed = np.diff(np.concatenate([[0], path[:, 0, 3]])) / 0.02
    acceleration = np.diff(np.concatenate([[0], speed])) / 0.02
    assert speed.max() == pytest.approx(0.3, rel=1e-2) and np.abs(acceleration).max() < 1.05
    assert speed[0] < 0.02 and speed[-1] < 0.02


def test_a_short_line_never_reaches_full_speed():
    path = time_poses(poses([[0, 0, 0], [0, 0.02, 0]]), LIMITS)
    assert len(path) * 0.02 == pytest.approx(2 * np.sqrt(0.02), abs=0.021)


def test_the_tip_rests_at_a_corner_and_passes_a_bend():
    corner = time_poses(poses([[0, 0, 0], [0.3, 0, 0], [0.3, 0.3, 0]]), LIMITS)
    at_corner = np.linalg.norm(corner[:, :3, 3] - [0.3, 0, 0], axis=1)
    assert at_corner.min() < 1e-9
    angles = np.linspace(0, np.pi / 2, 20)
    bend = poses(np.stack([np.sin(angles), 1 - np.cos(angles), 0 * angles], axis=1) * 0.3)
    speed = np.linalg.norm(np.diff(time_poses(bend, LIMITS)[:, :3, 3], axis=0), axis=1) / 0.02
    assert speed[5:-5].min() > 0.1


def test_a_turn_takes_the_time_of_its_way():
    path = time_poses(poses([[0, 0, 0], [0, 0, 0]], [0.0, 1.2]), LIMITS)
    assert len(path) * 0.02 == pytest.approx(1.2 * RADIAN_M / 0.3 + 0.3, abs=0.021)
    turned = Rotation.from_matrix(path[:, :3, :3]).as_euler("zyx")[:, 0]
    assert (np.diff(turned) >= -1e-9).all() and turned[-1] == pytest.approx(1.2)


def test_a_way_that_leads_nowhere_is_one_sample():
    still = poses([[0.1, 0.2, 0.3]] * 4)
    np.testing.assert_array_equal(time_poses(still, LIMITS), still[:1])


def test_bad_ways_and_limits_are_refused():
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        time_poses(np.zeros((2, 3)), LIMITS)
    with pytest.raises(ShapeError, match="NaN"):
        time_poses(np.full((2, 4, 4), np.nan), LIMITS)
    with pytest.raises(ConfigError, match="must be positive"):
        TipLimits(speed_m_s=0)
