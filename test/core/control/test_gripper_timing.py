# SPDX-License-Identifier: Apache-2.0
"""The fingers move with their step and never faster than the gripper can."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.control.gripper_timing import time_gripper
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.control.path_timing import RateLimits, time_path
from mu0_core.robot.description import load_robot

GRIPPER = load_robot("fr3").gripper


def timed(steps: int, limit: float = 10.0):
    limits = RateLimits(np.full(1, limit), np.full(1, 100.0), np.full(1, 1e5))
    points = np.linspace([0.0], [0.1 * steps], steps + 1)
    return time_path(points, 0.1, 0.2, limits, 0.02, 1e6)[0]


def openings(trajectory, here_m: float, at_s: np.ndarray) -> np.ndarray:
    c = JointTrajectoryController((GRIPPER.joint,))
    c.set_initial(np.array([here_m / GRIPPER.opening_per_joint_m]))
    c.accept(trajectory, 0.0)
    return np.array([c.sample(t)[0][0] for t in at_s]) * GRIPPER.opening_per_joint_m


@given(st.lists(st.floats(0.0, 0.08), min_size=1, max_size=20), st.floats(0.0, 0.08))
@settings(max_examples=60, deadline=None)
def test_never_faster_than_the_gripper_and_ends_as_asked(wanted, here_m):
    trajectory = time_gripper(np.array(wanted), here_m, timed(len(wanted)), GRIPPER)
    at_s = np.arange(0, trajectory.times_s[-1] + 0.1, 0.005)
    path = openings(trajectory, here_m, at_s)
    assert np.abs(np.diff(path)).max() <= GRIPPER.speed_m_s * 0.005 * (1 + 1e-6) + 1e-9
    assert path[-1] == pytest.approx(wanted[-1], abs=2e-6)
    assert path.min() >= -1e-9 and path.max() <= 0.08 + 1e-9


@pytest.mark.parametrize("limit", [10.0, 0.5])
def test_closes_with_its_step_also_when_the_arm_is_slowed(limit):
    path = timed(8, limit)
    wanted = np.where(np.arange(8) < 5, 0.08, 0.0)
    trajectory = time_gripper(wanted, 0.08, path, GRIPPER)
    begin_s = path.times_of_steps(np.array([5]))[0]
    before, after = openings(trajectory, 0.08, np.array([begin_s - 1e-3, begin_s + 0.05]))
    assert before == pytest.approx(0.08, abs=1e-6) and after < 0.075
    assert (limit == 0.5) == (path.stretch > 1.5)


def test_nothing_to_do_is_still_a_trajectory():
    trajectory = time_gripper(np.full(4, 0.08), 0.08, timed(4), GRIPPER)
    assert len(trajectory.times_s) == 1 and trajectory.times_s[0] > 0
