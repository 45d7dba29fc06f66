# SPDX-License-Identifier: Apache-2.0
"""Joint positions as a smooth function of the tip, tool down: inverse kinematics as a table.

Solving for every state of thousands of imagined motions would take hours; between solved tip
positions joints are interpolated, which puts the links of an arm within millimetres.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from mu0_core.errors import KinematicsError
from mu0_core.robot.description import RobotDescription, load_robot
from mu0_core.robot.kinematics import Kinematics

TOOL_DOWN = np.diag([1.0, -1.0, -1.0])  # rotation of T_base_tip: tip z points down

_LOW_M, _HIGH_M = np.array([0.28, -0.45, 0.0]), np.array([0.72, 0.45, 0.40])
_STEP_M = 0.04


class PostureTable:
    """Joints (..., A) of tip positions (..., 3); NaN where the tool cannot point down."""

    def __init__(self, robot: RobotDescription) -> None:
        kinematics = Kinematics(robot)
        axes = [
            np.linspace(low, high, round((high - low) / _STEP_M) + 1)
            for low, high in zip(_LOW_M, _HIGH_M, strict=True)
        ]
        joints = np.full((*(len(a) for a in axes), len(robot.arm_joints)), np.nan)
        pose = np.eye(4)
        pose[:3, :3] = TOOL_DOWN
        for i, j, k in np.ndindex(joints.shape[:3]):
            pose[:3, 3] = axes[0][i], axes[1][j], axes[2][k]
            near = joints[i, j, k - 1] if k else joints[i, max(j - 1, 0), 0]
            seed = robot.home_rad if np.isnan(near).any() else near
            try:
                joints[i, j, k] = kinematics.inverse(pose, seed)
            except KinematicsError:
                continue
        self._table = RegularGridInterpolator(axes, joints, bounds_error=False)

    def __call__(self, tip_m: np.ndarray) -> np.ndarray:
        """Return joints (..., A) in rad."""
        return self._table(tip_m.reshape(-1, 3)).reshape(*tip_m.shape[:-1], -1)


@cache
def posture_table(robot: str) -> PostureTable:
    """Return the table of an arm by name, made once per process (seconds)."""
    return PostureTable(load_robot(robot))
