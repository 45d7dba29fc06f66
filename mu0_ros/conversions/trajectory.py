# SPDX-License-Identifier: Apache-2.0
"""Joint trajectories for and from controllers."""

from __future__ import annotations

import numpy as np
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMsg
from trajectory_msgs.msg import JointTrajectoryPoint

from mu0_core.errors import TrajectoryError
from mu0_core.types import JointTrajectory
from mu0_ros.conversions.stamp import (
    duration_from_s,
    ns_from_stamp,
    s_from_duration,
    stamp_from_ns,
)


def msg_from_trajectory(trajectory: JointTrajectory) -> JointTrajectoryMsg:
    """Return the message; a zero stamp means start now."""
    message = JointTrajectoryMsg(joint_names=list(trajectory.joint_names))
    message.header.stamp = stamp_from_ns(trajectory.start_ns)
    for k, time_s in enumerate(trajectory.times_s):
        point = JointTrajectoryPoint(time_from_start=duration_from_s(float(time_s)))
        point.positions = trajectory.positions[k].tolist()
        if trajectory.velocities is not None:
            point.velocities = trajectory.velocities[k].tolist()
        if trajectory.accelerations is not None:
            point.accelerations = trajectory.accelerations[k].tolist()
        message.points.append(point)
    return message


def trajectory_from_msg(message: JointTrajectoryMsg) -> JointTrajectory:
    """Return the trajectory of a message.

    Raises:
        TrajectoryError: points differ in length, or only some carry velocities.
    """
    names, points = tuple(message.joint_names), message.points
    columns: dict[str, np.ndarray | None] = {}
    for field in ("positions", "velocities", "accelerations"):
        rows = [list(getattr(p, field)) for p in points]
        lengths = {len(r) for r in rows}
        if lengths <= {0} and field != "positions":
            columns[field] = None
        elif lengths - {len(names)}:
            raise TrajectoryError(
                f"{field} of the points have lengths {sorted(lengths)}, expected {len(names)}"
            )
        else:
            columns[field] = np.array(rows, dtype=float).reshape(len(points), len(names))
    return JointTrajectory(
        names,
        np.array([s_from_duration(p.time_from_start) for p in points]),
        columns["positions"],
        columns["velocities"],
        columns["accelerations"],
        ns_from_stamp(message.header.stamp),
    )
