# SPDX-License-Identifier: Apache-2.0
"""Forward and inverse kinematics of a serial chain (numpy only).

Frames follow the URDF: each joint's child frame is ``T_parent_child(q) = origin * motion(q)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.errors import KinematicsError, ShapeError
from mu0_core.robot.description import Joint, RobotDescription

_STILL_RAD = 1e-4  # a smaller step brings the orientation no nearer
_FREE_RAD = 0.03  # kept free at the limits, where such arms often stand: smooth motion overshoots


@dataclass(frozen=True, slots=True)
class IkSettings:
    """Damped-least-squares settings; tolerances in metres and radians."""

    max_iterations: int = 60
    position_tolerance_m: float = 5e-4
    rotation_tolerance_rad: float = 5e-3
    damping: float = 0.02
    max_step_rad: float = 0.25
    posture_gain: float = 0.05


class Kinematics:
    """Kinematics of the chain of one `RobotDescription` from base to tip."""

    def __init__(self, robot: RobotDescription) -> None:
        self.robot = robot
        self._column = {name: i for i, name in enumerate(robot.arm_joints)}
        moving = {joint.name: joint for joint in robot.chain}
        self._moves = np.stack([_move_parts(moving[name]) for name in robot.arm_joints])

    def link_frames(self, positions_rad: np.ndarray) -> dict[str, np.ndarray]:
        """Return T_base_link (..., 4, 4) of every link on the chain for joints (..., A).

        Raises:
            ShapeError: the last axis is not the number of arm joints.
        """
        q = np.asarray(positions_rad, dtype=float)
        if q.shape[-1:] != (len(self._column),):
            raise ShapeError(
                f"joint positions have shape {q.shape}, expected (..., {len(self._column)})"
            )
        frame = np.broadcast_to(np.eye(4), (*q.shape[:-1], 4, 4))
        frames = {self.robot.base_frame: frame}
        weights = np.stack([np.ones_like(q), np.sin(q), 1.0 - np.cos(q)], axis=-1)
        moves = np.einsum("...ap,apij->...aij", weights, self._moves)
        for joint in self.robot.chain:
            column = self._column.get(joint.name)
            frame = frame @ (joint.origin if column is None else moves[..., column, :, :])
            frames[joint.child] = frame
        return frames

    def tip(self, positions_rad: np.ndarray) -> np.ndarray:
        """Return T_base_tip (..., 4, 4) for joints (..., A)."""
        return self.link_frames(positions_rad)[self.robot.tip_frame]

    def jacobian(self, positions_rad: np.ndarray) -> np.ndarray:
        """Return the geometric Jacobian (6, A) of the tip in the base frame, linear rows first."""
        frames = self.link_frames(positions_rad)
        tip = frames[self.robot.tip_frame][:3, 3]
        result = np.zeros((6, len(self._column)))
        for joint in self.robot.chain:
            if joint.name in self._column:
                frame = frames[joint.child]
                axis = frame[:3, :3] @ joint.axis
                column = self._column[joint.name]
                result[:3, column] = np.cross(axis, tip - frame[:3, 3])
                result[3:, column] = axis
        return result

    def inverse(
        self,
        T_base_tip: np.ndarray,
        seed_rad: np.ndarray,
        settings: IkSettings | None = None,
    ) -> np.ndarray:
        """Return joints (A,) near ``seed_rad`` (A,) that reach ``T_base_tip`` (4, 4).

        Damped least squares; the free motion of a redundant arm is drawn to the home posture. An
        arm with ``rotation_slack_rad`` reaches the position, and the orientation as near as it
        can.

        Raises:
            KinematicsError: not reached within tolerance and joint limits; names the residual.
        """
        settings = settings or IkSettings()
        if self.robot.rotation_slack_rad > 0:
            return self._inverse_position_first(T_base_tip, seed_rad, settings)
        limits = self.robot.limits
        q = np.clip(np.asarray(seed_rad, dtype=float), limits.lower_rad, limits.upper_rad)
        identity = np.eye(len(q))
        position_error = rotation_error = np.inf
        for _ in range(settings.max_iterations):
            tip = self.tip(q)
            linear = T_base_tip[:3, 3] - tip[:3, 3]
            angular = Rotation.from_matrix(T_base_tip[:3, :3] @ tip[:3, :3].T).as_rotvec()
            position_error = float(np.linalg.norm(linear))
            rotation_error = float(np.linalg.norm(angular))
            if (
                position_error < settings.position_tolerance_m
                and rotation_error < settings.rotation_tolerance_rad
            ):
                return q
            jacobian = self.jacobian(q)
            gram = jacobian @ jacobian.T + settings.damping**2 * np.eye(6)
            pinv = jacobian.T @ np.linalg.inv(gram)
            step = pinv @ np.concatenate([linear, angular])
            posture = settings.posture_gain * (self.robot.home_rad - q)
            step += (identity - pinv @ jacobian) @ posture
            largest = np.max(np.abs(step))
            step *= min(1.0, settings.max_step_rad / max(largest, 1e-12))
            q = np.clip(q + step, limits.lower_rad, limits.upper_rad)
        raise _unreached(T_base_tip, position_error, rotation_error, settings)

    def _inverse_position_first(
        self, T_base_tip: np.ndarray, seed_rad: np.ndarray, settings: IkSettings
    ) -> np.ndarray:
        """Return joints (A,) that reach the position, and the orientation within the slack.

        The orientation gets only what the position leaves free (task priority), until it comes no
        nearer. A joint at its limit that would be pushed out is left out of that step.
        """
        low, high = (
            self.robot.limits.lower_rad + _FREE_RAD,
            self.robot.limits.upper_rad - _FREE_RAD,
        )
        slack = self.robot.rotation_slack_rad
        q = np.clip(np.asarray(seed_rad, dtype=float), low, high)
        position_error = rotation_error = np.inf
        for k in range(2 * settings.max_iterations):
            tip = self.tip(q)
            linear = T_base_tip[:3, 3] - tip[:3, 3]
            angular = Rotation.from_matrix(T_base_tip[:3, :3] @ tip[:3, :3].T).as_rotvec()
            position_error = float(np.linalg.norm(linear))
            rotation_error = float(np.linalg.norm(angular))
            blocked = (q <= low, q >= high)
            # near the end of its reach turning pulls an arm off its place; at last it only moves
            wanted = angular if k < 1.5 * settings.max_iterations else np.zeros(3)
            step = self._prioritised_step(q, linear, wanted, blocked, settings)
            reached = position_error < settings.position_tolerance_m
            still = np.max(np.abs(step)) < _STILL_RAD
            if reached and (rotation_error < settings.rotation_tolerance_rad or still):
                break
            q = np.clip(q + step, low, high)
        if position_error < settings.position_tolerance_m and rotation_error <= slack:
            return q
        raise _unreached(T_base_tip, position_error, rotation_error, settings)

    def _prioritised_step(
        self,
        q: np.ndarray,
        linear: np.ndarray,
        angular: np.ndarray,
        blocked: tuple[np.ndarray, np.ndarray],
        settings: IkSettings,
    ) -> np.ndarray:
        """Return a step (A,): position first, then what turns the tip nearer.

        ``blocked`` says which joints can go no lower and no higher (A,).
        """
        (lowest, highest), free = blocked, np.ones(len(q), dtype=bool)
        jacobian = self.jacobian(q)
        while True:
            part = np.where(free, jacobian, 0.0)
            to_position = _damped_inverse(part[:3], settings.damping / 10)
            step = to_position @ linear
            rest = np.eye(len(q)) - to_position @ part[:3]
            turn = _damped_inverse(part[3:] @ rest, settings.damping)
            step = step + rest @ turn @ (angular - part[3:] @ step)
            step *= min(1.0, settings.max_step_rad / max(np.max(np.abs(step)), 1e-12))
            out = lowest & (step < 0) | highest & (step > 0)
            if not (out & free).any():
                return np.where(free, step, 0.0)
            free &= ~out


def _damped_inverse(matrix: np.ndarray, damping: float) -> np.ndarray:
    """Return the damped pseudo-inverse (n, m) of a matrix (m, n)."""
    gram = matrix @ matrix.T + damping**2 * np.eye(len(matrix))
    return matrix.T @ np.linalg.inv(gram)


def _unreached(
    T_base_tip: np.ndarray,
    position_error_m: float,
    rotation_error_rad: float,
    settings: IkSettings,
) -> KinematicsError:
    return KinematicsError(
        f"no joint solution for tip position {np.round(T_base_tip[:3, 3], 4)} m: off by "
        f"{position_error_m * 1e3:.1f} mm and {np.degrees(rotation_error_rad):.2f} deg after "
        f"{settings.max_iterations} iterations"
    )


def axis_rotation(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Return rotations (..., 3, 3) about a unit axis (3,) by angles (...) (Rodrigues)."""
    skew = _skew(axis)
    sine, cosine = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    return np.eye(3) + sine * skew + (1.0 - cosine) * (skew @ skew)


def _skew(axis: np.ndarray) -> np.ndarray:
    x, y, z = axis
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def _move_parts(joint: Joint) -> np.ndarray:
    """Return what 1, sin q and 1 - cos q weigh in T_parent_child of a joint, (3, 4, 4)."""
    parts, skew = np.zeros((3, 4, 4)), _skew(joint.axis)
    parts[0] = np.eye(4)
    parts[1, :3, :3], parts[2, :3, :3] = skew, skew @ skew
    return joint.origin @ parts
