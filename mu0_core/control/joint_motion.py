# SPDX-License-Identifier: Apache-2.0
"""Motion of several joints as polynomial pieces, with bounds that no instant can exceed.

The pieces are what ros2_control's trajectory controller makes of trajectory points: linear when
only positions are given, cubic with velocities, quintic with accelerations. They are kept in
Bernstein form, where the coefficients of a derivative enclose the derivative: a limit that holds
for them holds at every instant, not only where somebody looked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
from scipy.interpolate import BPoly

from mu0_core.errors import ShapeError
from mu0_core.types import JointTrajectory

_SHORT_S = 0.06  # Bernstein coefficients of a longer piece say little; of its parts, enough
_PARTS, _FINE_PARTS = 8, 64


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
        self._curves: list[BPoly] = []  # made when first sampled

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
        if not self._curves:
            self._curves = [BPoly(c, self.times_s) for c in self._coefficients[:3]]
        position, velocity, acceleration = (curve(inside) for curve in self._curves)
        return position, np.where(moving, velocity, 0.0), np.where(moving, acceleration, 0.0)

    def travel(self, times_s: np.ndarray) -> np.ndarray:
        """Return how far each joint (K, A) has turned to and fro by times (K,), at most."""
        fastest = np.abs(self._coefficients[1]).max(axis=0)
        gone = np.cumsum(fastest * np.diff(self.times_s)[:, None], axis=0)
        gone = np.concatenate([np.zeros_like(gone[:1]), gone])
        piece = np.searchsorted(self.times_s, times_s, side="right") - 1
        piece = np.clip(piece, 0, len(fastest) - 1)
        inside = np.clip(times_s, self.times_s[0], self.times_s[-1]) - self.times_s[piece]
        return gone[piece] + fastest[piece] * inside[:, None]

    def bounds(self, *, fine: bool = False) -> MotionBounds:
        """Return bounds over all pieces, long ones in parts; for short pieces they are tight.

        Args:
            fine: take short pieces in parts as well, and in more of them.
        """
        long = np.diff(self.times_s) > (0.0 if fine else _SHORT_S)
        parts = _FINE_PARTS if fine else _PARTS
        position, *rates = (_in_parts(c, long, parts) for c in self._coefficients)
        return MotionBounds(
            position.min(axis=0),
            position.max(axis=0),
            *(np.abs(c).max(axis=0) for c in rates),
        )


def _in_parts(coefficients: np.ndarray, long: np.ndarray, parts: int) -> np.ndarray:
    """Return Bernstein coefficients (M, A) of all pieces, the ``long`` (K - 1,) cut into parts."""
    joints = coefficients.shape[-1]
    if not long.any():
        return coefficients.reshape(-1, joints)
    cut = np.tensordot(_cut(len(coefficients) - 1, parts), coefficients[:, long], axes=1)
    short = coefficients[:, ~long]
    return np.concatenate([short.reshape(-1, joints), cut.reshape(-1, joints)])


@lru_cache
def _cut(degree: int, parts: int) -> np.ndarray:
    """Return the matrix that makes coefficients of 2^n equal parts of those of a piece.

    Halving a piece takes means of neighbouring coefficients (de Casteljau).
    """
    left = np.array([[comb(i, j) / 2**i for j in range(degree + 1)] for i in range(degree + 1)])
    cuts = [np.eye(degree + 1)]
    while len(cuts) < parts:
        cuts = [half @ cut for cut in cuts for half in (left, left[::-1, ::-1])]
    return np.concatenate(cuts)


def _derivative(coefficients: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the Bernstein coefficients of the derivative; ``step`` (K - 1, 1) are lengths."""
    degree = len(coefficients) - 1
    if degree == 0:
        return np.zeros_like(coefficients)
    return degree * np.diff(coefficients, axis=0) / step
