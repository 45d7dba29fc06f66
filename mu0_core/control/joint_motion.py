# SPDX-License-Identifier: Apache-2.0
"""Motion of several joints as polynomial pieces, with bounds that no instant can exceed.

The pieces are what ros2_control's trajectory controller makes of trajectory points: linear when
only positions are given, cubic with velocities, quintic with accelerations. They are kept in
Bernstein form, where the coefficients of a derivative enclose the derivative: a limit that holds
for them holds at every instant, not only where somebody looked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BPoly

from mu0_core.errors import ShapeError
from mu0_core.types import JointTrajectory


@dataclass(frozen=True, slots=True)
class MotionBounds:
    """What a motion never leaves or exceeds, for each joint (A,)."""

    lowest: np.ndarray
    highest: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray


class JointMotion:
    """Pieces between times (K,); before the first and after the last the arm stands still.

    Args:
        times_s: (K,) strictly increasing, K >= 2.
        positions: (K, A).
        velocities: (K, A), or None for linear pieces.
        accelerations: (K, A), or None for cubic pieces.
    """

    def __init__(
        self,
        times_s: np.ndarray,
        positions: np.ndarray,
        velocities: np.ndarray | None = None,
        accelerations: np.ndarray | None = None,
    ) -> None:
        if len(times_s) < 2 or positions.shape[:1] != times_s.shape:
            raise ShapeError(
                f"{len(times_s)} times and positions {positions.shape}: need (K >= 2, A)"
            )
        step = np.diff(times_s)[:, None]
        p0, p1 = positions[:-1], positions[1:]
        if velocities is None:
            rows = [p0, p1]
        elif accelerations is None:
            v0, v1 = velocities[:-1] * step / 3, velocities[1:] * step / 3
            rows = [p0, p0 + v0, p1 - v1, p1]
        else:
            v0, v1 = velocities[:-1] * step / 5, velocities[1:] * step / 5
            a0, a1 = accelerations[:-1] * step**2 / 20, accelerations[1:] * step**2 / 20
            rows = [p0, p0 + v0, p0 + 2 * v0 + a0, p1 - 2 * v1 + a1, p1 - v1, p1]
        self.times_s, self.positions = times_s, positions
        self.velocities, self.accelerations = velocities, accelerations
        self._coefficients = [np.stack(rows)]
        for _ in range(3):
            self._coefficients.append(_derivative(self._coefficients[-1], step))
        self._curves = [BPoly(c, times_s) for c in self._coefficients[:3]]

    def trajectory(self, joint_names: tuple[str, ...]) -> JointTrajectory:
        """Return the points after the first, which is where the controller is anyhow."""
        velocities, accelerations = (
            None if column is None else column[1:]
            for column in (self.velocities, self.accelerations)
        )
        return JointTrajectory(
            joint_names, self.times_s[1:], self.positions[1:], velocities, accelerations
        )

    @property
    def end_s(self) -> float:
        """When the last piece ends."""
        return float(self.times_s[-1])

    def sample(self, times_s: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions, velocities and accelerations (..., A) at times (...)."""
        times_s = np.asarray(times_s, dtype=float)
        inside = np.clip(times_s, self.times_s[0], self.times_s[-1])
        moving = ((times_s >= self.times_s[0]) & (times_s < self.times_s[-1]))[..., None]
        position, velocity, acceleration = (curve(inside) for curve in self._curves)
        return position, np.where(moving, velocity, 0.0), np.where(moving, acceleration, 0.0)

    def bounds(self) -> MotionBounds:
        """Return bounds over all pieces; for short pieces they are tight."""
        position = self._coefficients[0]
        return MotionBounds(
            position.min(axis=(0, 1)),
            position.max(axis=(0, 1)),
            *(np.abs(c).max(axis=(0, 1)) for c in self._coefficients[1:]),
        )


def _derivative(coefficients: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the Bernstein coefficients of the derivative; ``step`` (K - 1, 1) are lengths."""
    degree = len(coefficients) - 1
    if degree == 0:
        return np.zeros_like(coefficients)
    return degree * np.diff(coefficients, axis=0) / step
