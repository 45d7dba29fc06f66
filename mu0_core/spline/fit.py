# SPDX-License-Identifier: Apache-2.0
"""Least-squares B-splines through sampled traces (μ0 paper, supervision of the world model)."""

from __future__ import annotations

import numpy as np

from mu0_core.errors import ShapeError
from mu0_core.spline.basis import DEGREE, bezier_knots, design_matrix


def fit_control_points(
    steps: np.ndarray,
    valid: np.ndarray,
    n_ctrl: int = 10,
    *,
    ridge: float = 0.2,
    ridge_order: int = 1,
    clip: float | None = 1.5,
    knots: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit cubic splines to displacements from an anchor.

    Rows: the anchor (zero at parameter 0), each valid step k at (k + 1) / H, and ``ridge`` times
    the differences of neighbouring control points with zero target.

    Args:
        steps: (N, H, 3) scaled displacements; values at invalid steps are ignored.
        valid: (N, H) bool.
        n_ctrl: D.
        ridge: weight of the difference penalty.
        ridge_order: order of the differences, 1 or 2.
        clip: largest magnitude of a control point, or None.
        knots: (D + 4,) over 0..1; the released ones if None.

    Returns:
        control points (N, D, 3), zero where not fitted, and (N,) bool: at least D valid steps.

    Raises:
        ShapeError: shapes disagree, or the order is not 1 or 2.
    """
    points, horizon = valid.shape
    if steps.shape != (points, horizon, 3):
        raise ShapeError(f"steps {steps.shape} and valid {valid.shape} disagree")
    if ridge_order not in (1, 2):
        raise ShapeError(f"ridge_order {ridge_order}: expected 1 or 2")
    knots = bezier_knots(n_ctrl) if knots is None else knots
    if len(knots) != n_ctrl + DEGREE + 1:
        raise ShapeError(f"{len(knots)} knots; {n_ctrl} control points need {n_ctrl + DEGREE + 1}")
    basis = design_matrix(knots, DEGREE, np.arange(horizon + 1) / horizon)
    penalty = ridge * np.diff(np.eye(n_ctrl), n=ridge_order, axis=0)
    weights = np.concatenate([np.ones((points, 1)), valid], axis=1)
    known = np.where(valid[..., None], steps, 0.0)
    target = np.concatenate([np.zeros((points, 1, 3)), known], axis=1)
    normal = np.einsum("hd,nh,he->nde", basis, weights, basis) + penalty.T @ penalty
    right = np.einsum("hd,nh,nhc->ndc", basis, weights, target)
    fitted = valid.sum(axis=1) >= n_ctrl
    control = np.zeros((points, n_ctrl, 3))
    if fitted.any() and ridge > 0:
        control[fitted] = np.linalg.solve(normal[fitted], right[fitted])
    elif fitted.any():  # without a penalty, steps that leave a piece empty fit many splines
        control[fitted] = np.linalg.pinv(normal[fitted], hermitian=True) @ right[fitted]
    if clip is not None:
        control = np.clip(control, -clip, clip)
    return control, fitted


def refit(points: np.ndarray, knots: np.ndarray, degree: int = DEGREE) -> np.ndarray:
    """Return the control points (N, D, c) of the least-squares splines through sampled traces.

    Unprojecting control points would not give the unprojected trace (z divides), so traces are
    sampled, unprojected and fitted again.

    Args:
        points: (N, H + 1, c) at the parameters k / H, k = 0..H; every value finite.
        knots: (D + degree + 1,) over 0..1.
        degree: of the spline.

    Raises:
        ShapeError: not three axes, fewer samples than control points, or a value is not finite.
    """
    points = np.asarray(points, dtype=np.float64)
    count = len(knots) - degree - 1
    if points.ndim != 3 or points.shape[1] < count:
        raise ShapeError(f"points {points.shape}: expected (N, H + 1 >= {count}, c)")
    if not np.isfinite(points).all():
        raise ShapeError("points hold NaN or infinity; leave out the traces that are not finite")
    basis = design_matrix(knots, degree, np.arange(points.shape[1]) / (points.shape[1] - 1))
    return np.linalg.pinv(basis) @ points
