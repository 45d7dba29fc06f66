# SPDX-License-Identifier: Apache-2.0
"""Knots and basis of clamped B-splines over the parameter 0..1 (μ0 paper, Trace Anything)."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BSpline

from mu0_core.errors import ShapeError

DEGREE = 3


def bezier_knots(n_ctrl: int, degree: int = DEGREE) -> np.ndarray:
    """Return the released knots: joined Bezier pieces, C0 at the joints.

    Raises:
        ShapeError: ``n_ctrl`` is not 1 + a multiple of ``degree``.
    """
    pieces, rest = divmod(n_ctrl - 1, degree)
    if rest or pieces < 1:
        raise ShapeError(f"{n_ctrl} control points; joined Bezier pieces need 1 + k * {degree}")
    inner = np.repeat(np.arange(1, pieces) / pieces, degree)
    return np.concatenate([np.zeros(degree + 1), inner, np.ones(degree + 1)])


def uniform_knots(n_ctrl: int, degree: int = DEGREE) -> np.ndarray:
    """Return uniform clamped knots, C2 inside for cubics.

    Raises:
        ShapeError: fewer control points than degree + 1.
    """
    if n_ctrl < degree + 1:
        raise ShapeError(f"{n_ctrl} control points; degree {degree} needs at least {degree + 1}")
    inner = np.linspace(0.0, 1.0, n_ctrl - degree + 1)[1:-1]
    return np.concatenate([np.zeros(degree + 1), inner, np.ones(degree + 1)])


def design_matrix(knots: np.ndarray, degree: int, parameters: np.ndarray) -> np.ndarray:
    """Return the basis (len(parameters), D); the last basis function is closed at 1.

    Raises:
        ShapeError: a parameter lies outside 0..1.
    """
    parameters = np.atleast_1d(np.asarray(parameters, dtype=np.float64))
    if np.any((parameters < 0) | (parameters > 1)):
        raise ShapeError(f"parameters must be in 0..1: {parameters.min()}..{parameters.max()}")
    return BSpline.design_matrix(parameters, np.asarray(knots, dtype=np.float64), degree).toarray()


def derivative_matrix(
    knots: np.ndarray, degree: int, parameters: np.ndarray, order: int = 1
) -> np.ndarray:
    """Return (len(parameters), D): derivatives of the basis by the parameter.

    At a joint of Bezier pieces it is the derivative of the right piece; at 1, of the left one.

    Raises:
        ShapeError: ``order`` is not in 0..degree, or a parameter lies outside 0..1.
    """
    if not 0 <= order <= degree:
        raise ShapeError(f"derivative order {order}: expected 0..{degree}")
    knots = np.asarray(knots, dtype=np.float64)
    matrix = np.eye(len(knots) - degree - 1)
    for lower in range(degree, degree - order, -1):  # control points of each derivative in turn
        span = knots[lower + 1 : -1] - knots[1 : -lower - 1]
        weight = np.divide(lower, span, out=np.zeros_like(span), where=span > 0)
        matrix = weight[:, None] * np.diff(matrix, axis=0)
        knots = knots[1:-1]
    return design_matrix(knots, degree - order, parameters) @ matrix


def greville_phases(knots: np.ndarray, degree: int) -> np.ndarray:
    """Return (D,) in 0..1: where on the curve each control point belongs (means of its knots)."""
    knots = np.asarray(knots, dtype=np.float64)
    count = len(knots) - degree - 1
    return np.array([knots[k + 1 : k + degree + 1].mean() for k in range(count)])
