# SPDX-License-Identifier: Apache-2.0
"""How D vectors per point stand for the H steps of a trace.

``bezier`` and ``uniform`` are control points of cubic B-splines (μ0 paper; the second is C2).
``waypoints`` are positions at equal distances with straight lines between them, ``increments`` the
way from each step to the next: what other trace models predict, to compare with.
"""

from __future__ import annotations

import numpy as np

from mu0_core.errors import ConfigError, ShapeError
from mu0_core.spline.basis import DEGREE, bezier_knots, design_matrix, uniform_knots
from mu0_core.spline.fit import fit_control_points

SPLINES = {"bezier": bezier_knots, "uniform": uniform_knots}
WAYPOINTS, INCREMENTS = "waypoints", "increments"
CURVES = (*SPLINES, WAYPOINTS, INCREMENTS)
INCREMENT = 0.1  # scaled displacement that an increment of 1 stands for
LEAST_STEPS = 10  # that a trace must have to be learned as waypoints or increments, as a spline's


def check_curve(curve: str, count: int, horizon: int) -> None:
    """Refuse a kind that does not exist or a D that does not fit it.

    Raises:
        ConfigError: names both values.
    """
    if curve not in CURVES:
        raise ConfigError(f"trace_knots={curve!r}: expected one of {CURVES}")
    if curve == WAYPOINTS and (count < 1 or horizon % count):
        raise ConfigError(f"{count} waypoints do not divide {horizon} steps")
    if curve == INCREMENTS and count != horizon:
        raise ConfigError(f"{count} increments: {horizon} steps need as many")


def least_steps(curve: str, count: int) -> int:
    """Return how many valid steps a trace needs to have a target."""
    return count if curve in SPLINES else LEAST_STEPS


def rendering(curve: str, count: int, horizon: int) -> np.ndarray:
    """Return the matrix (H + 1, D) that makes the displacements at steps 0..H of D vectors.

    Raises:
        ConfigError: they do not fit, see `check_curve`.
    """
    check_curve(curve, count, horizon)
    if curve in SPLINES:
        phases = np.arange(horizon + 1) / horizon
        return design_matrix(SPLINES[curve](count), DEGREE, phases)
    if curve == INCREMENTS:
        return INCREMENT * np.tri(horizon + 1, horizon, -1)
    place = np.arange(horizon + 1)[:, None] * count / horizon  # in waypoints, the first one is 1
    return np.clip(1 - np.abs(place - np.arange(1, count + 1)), 0, None)


def targets(
    curve: str,
    steps: np.ndarray,
    valid: np.ndarray,
    count: int,
    *,
    ridge: float = 0.2,
    ridge_order: int = 1,
    clip: float | None = 1.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the D vectors (N, D, 3) that stand for displacements, and (N,) bool: there are any.

    Waypoints and increments hold the last valid step where one is missing; a trace rests at its
    end.

    Args:
        curve: one of `CURVES`.
        steps: (N, H, 3) scaled displacements at steps 1..H.
        valid: (N, H) bool.
        count: D.
        ridge, ridge_order: of the spline fit; see `fit_control_points`.
        clip: largest magnitude of a control point or waypoint, or None.

    Raises:
        ConfigError: they do not fit, see `check_curve`.
        ShapeError: shapes disagree.
    """
    points, horizon = valid.shape
    check_curve(curve, count, horizon)
    if curve in SPLINES:
        return fit_control_points(
            steps, valid, count, ridge=ridge, ridge_order=ridge_order, clip=clip,
            knots=SPLINES[curve](count),
        )  # fmt: skip
    if steps.shape != (points, horizon, 3):
        raise ShapeError(f"steps {steps.shape} and valid {valid.shape} disagree")
    start = np.zeros((points, 1, 3))
    held = np.concatenate([start, _held(steps, valid)], axis=1)
    if curve == INCREMENTS:
        found = np.diff(held, axis=1) / INCREMENT
    else:
        found = held[:, horizon // count :: horizon // count]
        found = found if clip is None else np.clip(found, -clip, clip)
    fitted = valid.sum(axis=1) >= LEAST_STEPS
    return np.where(fitted[:, None, None], found, 0.0), fitted


def _held(steps: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the steps with each missing one replaced by the last valid before it, or 0."""
    last = np.maximum.accumulate(np.where(valid, np.arange(1, valid.shape[1] + 1), 0), axis=1)
    known = np.concatenate([np.zeros((len(steps), 1, 3)), steps], axis=1)
    return np.take_along_axis(known, last[..., None], axis=1)
