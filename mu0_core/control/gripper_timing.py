# SPDX-License-Identifier: Apache-2.0
"""Time finger openings with the arm's motion, slowed or not, within the gripper's speed."""

from __future__ import annotations

import numpy as np

from mu0_core.control.path_timing import TimedPath
from mu0_core.robot.description import Gripper
from mu0_core.types import JointTrajectory

_SAME_M = 1e-6
_SHORTEST_S = 0.05


def time_gripper(
    openings_m: np.ndarray, here_m: float, timed: TimedPath, gripper: Gripper
) -> JointTrajectory:
    """Return a trajectory of the gripper's joint.

    Args:
        openings_m: (T,) wanted at the steps of the arm; a change begins with its step.
        here_m: commanded opening now.
        timed: the arm's motion over the same steps.
        gripper: speed, joint and its unit.
    """
    begins = timed.times_of_steps(np.arange(len(openings_m)))
    times: list[float] = []
    openings: list[float] = []
    now = 0.0
    for begin, target in zip(begins, openings_m):
        if abs(target - here_m) < _SAME_M:
            continue
        if begin > now + 1e-6:  # stay until then
            now = float(begin)
            times.append(now)
            openings.append(here_m)
        now += abs(target - here_m) / gripper.speed_m_s
        here_m = float(target)
        times.append(now)
        openings.append(here_m)
    if not times:
        times, openings = [max(_SHORTEST_S, timed.duration_s)], [here_m]
    positions = np.array(openings)[:, None] / gripper.opening_per_joint_m
    return JointTrajectory((gripper.joint,), np.array(times), positions)
