# SPDX-License-Identifier: Apache-2.0
"""Joint positions as a smooth function of the tip, tool down: inverse kinematics as a table.

Solving for every state of thousands of imagined motions would take hours; between solved tip
positions joints are interpolated, which puts the links of an arm within millimetres.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial.transform import Rotation

from mu0_core.errors import KinematicsError
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics
from mu0_core.simulation.simulated_arm import TableFrame, simulated_arm

TOOL_DOWN = np.diag([1.0, -1.0, -1.0])  # rotation of T_base_tip: tip z points down

_LOW_M, _HIGH_M = np.array([0.28, -0.45, 0.0]), np.array([0.72, 0.45, 0.40])  # table frame
_STEP_M = 0.04
_ROUNDS, _LAST_ROUNDS = 80, 20
_AT_LIMITS = 2  # joints that a step would push out of their limits are held in so many passes
_RADIAN_M = 0.02  # what a radian of tilt counts against a metre beside the place
_DAMPING, _LARGEST_RAD = 2e-3, 0.2
_NEAR_M = 1e-3


class PostureTable:
    """Joints (..., A) of tip positions (..., 3); NaN where the tool cannot point down."""

    def __init__(self, robot: RobotDescription) -> None:
        kinematics, frame = Kinematics(robot), TableFrame.of(simulated_arm(robot))
        axes = [
            np.linspace(low, high, round((high - low) / (_STEP_M * frame.scale)) + 1)
            for low, high in zip(frame.to_base(_LOW_M), frame.to_base(_HIGH_M), strict=True)
        ]
        solve = _one_by_one if robot.rotation_slack_rad == 0 else _all_at_once
        joints = solve(kinematics, np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        self._table = RegularGridInterpolator(axes, joints, bounds_error=False)

    def __call__(self, tip_m: np.ndarray) -> np.ndarray:
        """Return joints (..., A) in rad."""
        return self._table(tip_m.reshape(-1, 3)).reshape(*tip_m.shape[:-1], -1)


def _one_by_one(kinematics: Kinematics, tips_m: np.ndarray) -> np.ndarray:
    """Return joints (X, Y, Z, A) of tips (X, Y, Z, 3), each from its neighbour's."""
    home = kinematics.robot.home_rad
    joints = np.full((*tips_m.shape[:3], len(home)), np.nan)
    pose = np.eye(4)
    pose[:3, :3] = TOOL_DOWN
    for i, j, k in np.ndindex(tips_m.shape[:3]):
        pose[:3, 3] = tips_m[i, j, k]
        near = joints[i, j, k - 1] if k else joints[i, max(j - 1, 0), 0]
        seed = home if np.isnan(near).any() else near
        try:
            joints[i, j, k] = kinematics.inverse(pose, seed)
        except KinematicsError:
            continue
    return joints


def _all_at_once(kinematics: Kinematics, tips_m: np.ndarray) -> np.ndarray:
    """Return joints (X, Y, Z, A) of tips (X, Y, Z, 3) of an arm that cannot always point down.

    Damped least squares on all of them together, in which tilt weighs little; then the position
    alone. `Kinematics.inverse` turns an arm as far as it can, which takes minutes for a table.
    """
    robot = kinematics.robot
    low, high = robot.limits.lower_rad, robot.limits.upper_rad
    q = np.tile(robot.home_rad, (tips_m[..., 0].size, 1))
    for step in range(_ROUNDS + _LAST_ROUNDS):
        tilt_m = _RADIAN_M if step < _ROUNDS else 0.0
        jacobian, error = _errors(kinematics, q, tips_m.reshape(-1, 3), tilt_m)
        for _ in range(_AT_LIMITS):
            move = _damped_move(jacobian, error)
            out = (q <= low) & (move < 0) | (q >= high) & (move > 0)
            jacobian = np.where(out[:, None], 0.0, jacobian)  # those joints stay
        q = np.clip(q + _damped_move(jacobian, error), low, high)
    _, error = _errors(kinematics, q, tips_m.reshape(-1, 3), 1.0)
    missed, tilted = (np.linalg.norm(part, axis=1) for part in (error[:, :3], error[:, 3:]))
    q[(missed > _NEAR_M) | (tilted > robot.rotation_slack_rad)] = np.nan
    return q.reshape(*tips_m.shape[:3], -1)


def _damped_move(jacobian: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return steps (N, A) for Jacobians (N, 6, A) and errors (N, 6)."""
    gram = jacobian @ jacobian.transpose(0, 2, 1) + _DAMPING**2 * np.eye(6)
    move = (jacobian.transpose(0, 2, 1) @ np.linalg.solve(gram, error[..., None]))[..., 0]
    largest = np.maximum(np.abs(move).max(axis=1, keepdims=True), 1e-12)
    return move * np.minimum(1.0, _LARGEST_RAD / largest)


def _errors(
    kinematics: Kinematics, q: np.ndarray, tips_m: np.ndarray, radian_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return Jacobians (N, 6, A) and errors (N, 6) of joints (N, A); turns in ``radian_m``."""
    robot = kinematics.robot
    frames = kinematics.link_frames(q)
    tip = frames[robot.tip_frame]
    jacobian = np.zeros((len(q), 6, q.shape[1]))
    for joint in robot.chain:
        if joint.name in robot.arm_joints:
            column, frame = robot.arm_joints.index(joint.name), frames[joint.child]
            axis = frame[:, :3, :3] @ joint.axis
            jacobian[:, :3, column] = np.cross(axis, tip[:, :3, 3] - frame[:, :3, 3])
            jacobian[:, 3:, column] = radian_m * axis
    turn = Rotation.from_matrix(TOOL_DOWN @ tip[:, :3, :3].transpose(0, 2, 1)).as_rotvec()
    return jacobian, np.concatenate([tips_m - tip[:, :3, 3], radian_m * turn], axis=1)


_tables: dict[tuple[str, str], PostureTable] = {}


def posture_table(robot: RobotDescription) -> PostureTable:
    """Return the table of an arm, made once per process (seconds)."""
    key = (robot.name, str(robot.urdf_path))
    if key not in _tables:
        _tables[key] = PostureTable(robot)
    return _tables[key]
