# SPDX-License-Identifier: Apache-2.0
"""Joint states by name: the order on the wire means nothing."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import JointState

from mu0_core.errors import ObservationError
from mu0_core.robot.description import RobotDescription
from mu0_core.types import Proprioception
from mu0_ros.conversions.stamp import ns_from_stamp


def proprioception_from_joint_state(
    message: JointState, robot: RobotDescription
) -> Proprioception:
    """Return what the arm of ``robot`` reports.

    Raises:
        ObservationError: a joint is missing, doubled or not finite, or lengths disagree.
    """
    names = list(message.name)
    if len(set(names)) != len(names):
        raise ObservationError(f"joint_states has doubled names: {names}")
    if len(message.position) != len(names):
        raise ObservationError(
            f"joint_states has {len(names)} names and {len(message.position)} positions"
        )
    wanted = [*robot.arm_joints, robot.gripper.joint]
    missing = [n for n in wanted if n not in names]
    if missing:
        raise ObservationError(f"joint_states lacks {missing}")
    index = [names.index(n) for n in wanted]
    positions = np.array([message.position[i] for i in index])
    if not np.all(np.isfinite(positions)):
        bad = [n for n, p in zip(wanted, positions) if not np.isfinite(p)]
        raise ObservationError(f"joint_states: positions of {bad} are not finite")
    velocities = None
    if len(message.velocity) == len(names):
        velocities = np.array([message.velocity[i] for i in index[:-1]])
    return Proprioception(
        positions_rad=positions[:-1],
        velocities_rad_s=velocities,
        gripper_m=float(positions[-1] * robot.gripper.opening_per_joint_m),
        stamp_ns=ns_from_stamp(message.header.stamp),
    )
