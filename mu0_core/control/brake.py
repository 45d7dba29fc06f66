# SPDX-License-Identifier: Apache-2.0
"""Come to rest from a commanded state in motion, as soon as the acceleration limits allow.

First choice is the path under way, only slower and slower: it has been checked. Where the limits
leave no room for that, the arm leaves the path on its tangent, which needs v^2 / 2a of room.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mu0_core.control.joint_motion import JointMotion
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.control.path_timing import RateLimits
from mu0_core.types import JointTrajectory

_AT_REST = 1e-6
_ON_PATH_S = (0.12, 0.16, 0.22, 0.3, 0.4, 0.5)
_POINT_PERIOD_S = 0.02


def brake(
    running: JointTrajectoryController,
    now_s: float,
    limits: RateLimits,
    allowed: Callable[[JointMotion], bool],
) -> JointTrajectory | None:
    """Return a trajectory to rest; None at rest or when the one under way ends as soon.

    Args:
        running: holds the commanded motion.
        now_s: on its clock.
        limits: that braking may use.
        allowed: says whether a braking motion stays where the arm may be.
    """
    here, speed, _ = running.commanded(now_s)
    remaining_s = running.remaining_s(now_s)
    if np.max(np.abs(speed)) < _AT_REST:
        return None
    for duration_s in _ON_PATH_S:
        if duration_s >= remaining_s:
            return None
        times = _grid(duration_s)
        x = times / duration_s
        # clock of the path: its rate falls from 1 to 0 by a smoothstep
        clock = times - duration_s * (x**3 - x**4 / 2)
        rate, fall = 1 - 3 * x**2 + 2 * x**3, -6 * x * (1 - x) / duration_s
        position, velocity, acceleration = running.ahead(now_s, clock)
        motion = JointMotion(
            times,
            position,
            velocity * rate[:, None],
            acceleration * rate[:, None] ** 2 + velocity * fall[:, None],
        )
        if limits.slowing_needed(motion.bounds()) <= 1.0 and allowed(motion):
            return motion.trajectory(running.joint_names)
    duration_s = max(float(np.max(np.abs(speed) / limits.acceleration)) * 1.001, _POINT_PERIOD_S)
    times = _grid(duration_s)
    left = (1 - times / duration_s)[:, None]
    motion = JointMotion(times, here + speed * duration_s / 2 * (1 - left**2), speed * left)
    if duration_s >= remaining_s or not allowed(motion):
        return None
    return motion.trajectory(running.joint_names)


def _grid(duration_s: float) -> np.ndarray:
    return np.linspace(0.0, duration_s, max(5, int(np.ceil(duration_s / _POINT_PERIOD_S)) + 1))
