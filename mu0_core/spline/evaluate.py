# SPDX-License-Identifier: Apache-2.0
"""Value and derivatives of splines at given parameters (numpy; the model renders in torch).

The parameter is a phase along the trace: a derivative is metres (or uv) per phase, not per second.
"""

from __future__ import annotations

import numpy as np

from mu0_core.errors import ShapeError
from mu0_core.spline.basis import DEGREE, derivative_matrix, design_matrix


def evaluate(
    control_points: np.ndarray, knots: np.ndarray, parameters: np.ndarray, degree: int = DEGREE
) -> np.ndarray:
    """Return the points (..., K, c) of splines (..., D, c) at ``parameters`` (K,) in 0..1.

    Raises:
        ShapeError: D does not fit the knots, or a parameter lies outside 0..1.
    """
    _require_count(control_points, knots, degree)
    return design_matrix(knots, degree, parameters) @ control_points


def differentiate(
    control_points: np.ndarray,
    knots: np.ndarray,
    parameters: np.ndarray,
    order: int = 1,
    degree: int = DEGREE,
) -> np.ndarray:
    """Return the derivative (..., K, c) of splines (..., D, c) by the parameter.

    Raises:
        ShapeError: D does not fit the knots, the order is not in 0..degree, or a parameter lies
            outside 0..1.
    """
    _require_count(control_points, knots, degree)
    return derivative_matrix(knots, degree, parameters, order) @ control_points


def _require_count(control_points: np.ndarray, knots: np.ndarray, degree: int) -> None:
    count = len(knots) - degree - 1
    if np.ndim(control_points) < 2 or np.shape(control_points)[-2] != count:
        raise ShapeError(
            f"control points {np.shape(control_points)}: {len(knots)} knots of degree {degree} "
            f"need (..., {count}, c)"
        )
