# SPDX-License-Identifier: Apache-2.0
"""Knots and basis of clamped B-splines over the parameter 0..1 (μ0 paper, Trace Anything)."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BSpline

from mu0_core.errors import ShapeError


def bezier_knots(n_ctrl: int, degree: int = 3) -> np.ndarray:
    """Return the released knots: joined Bezier pieces, C0 at the joints.

    Raises:
        ShapeError: ``n_ctrl`` is not 1 + a multiple of ``degree``.
    """
    pieces, rest = divmod(n_ctrl - 1, degree)
    if rest or pieces < 1:
        raise ShapeError(f"{n_ctrl} control points; joined Bezier pieces need 1 + k * {degree}")
    inner = np.repeat(np.arange(1, pieces) / pieces, degree)
    return np.concatenate([np.zeros(degree + 1), inner, np.ones(degree + 1)])


def uniform_knots(n_ctrl: int, degree: int = 3) -> np.ndarray:
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
