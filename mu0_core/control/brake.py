# SPDX-License-Identifier: Apache-2.0
"""Come to rest from a commanded state in motion, as soon as the acceleration limits allow.

A braking trajectory is one point at rest, on purpose: the controller joins it from its own state
with one quintic piece. Messages take time, so that state may be a little ahead of or behind ours;
a dense trajectory would ask the arm to make that up within milliseconds, one long piece makes it
up on the way. The point lies where the path under way would come to rest if it were slowed evenly,
or else on the tangent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mu0_core.control.joint_motion import JointMotion
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.control.path_timing import RateLimits
from mu0_core.types import JointTrajectory

_AT_REST = 1e-6
_DURATIONS_S = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0)


def brake(
    running: JointTrajectoryController,
    now_s: float,
    limits: RateLimits,
    jitter_s: float,
    allowed: Callable[[JointMotion], bool],
) -> JointTrajectory | None:
    """Return a trajectory to rest; None at rest or when the one under way ends as soon.

    Args:
        running: holds the commanded motion.
        now_s: on its clock.
        limits: that braking may use.
        jitter_s: how far the controller's state may be ahead of or behind ours.
        allowed: says whether a braking motion stays where the arm may be. If none does, because
            something came near since the motion was accepted, the shortest is taken all the same.
    """
    here, speed, _ = running.commanded(now_s)
    if np.max(np.abs(speed)) < _AT_REST:
        return None
    remaining_s, second_best = running.remaining_s(now_s), None
    starts = list(zip(*running.ahead(now_s, np.array([0.0, -jitter_s, jitter_s]))))
    for duration_s in _DURATIONS_S:
        if duration_s >= remaining_s:
            break
        on_path = running.ahead(now_s, np.array([duration_s / 2]))[0][0]
        for end in (on_path, here + speed * duration_s / 2):
            motions = [_to_rest(*start, end, duration_s) for start in starts]
            if any(limits.slowing_needed(motion.bounds()) > 1.0 for motion in motions):
                continue
            if all(allowed(motion) for motion in motions):
                return motions[0].trajectory(running.joint_names)
            second_best = second_best or motions[0]
    if second_best is None:
        return None
    return second_best.trajectory(running.joint_names)


def _to_rest(
    position: np.ndarray,
    velocity: np.ndarray,
    acceleration: np.ndarray,
    end: np.ndarray,
    duration_s: float,
) -> JointMotion:
    """Return the quintic piece from a state to rest at ``end``."""
    rest = np.zeros_like(velocity)
    return JointMotion(
        np.array([0.0, duration_s]),
        np.stack([position, end]),
        np.stack([velocity, rest]),
        np.stack([acceleration, rest]),
    )
