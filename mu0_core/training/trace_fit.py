# SPDX-License-Identifier: Apache-2.0
"""Control points of sampled traces by least squares, as a fixed matrix per spline.

Two fits: an exact one for traces that are splines already, and a smoothed one for supervision,
where a penalty on differences of neighbouring control points keeps the fit calm between samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.model.config import WorldModelConfig
from mu0_core.model.render import DEGREE, trace_knots
from mu0_core.spline.basis import design_matrix

SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class TraceFit:
    """Matrices between D control points and H + 1 samples at the phases 0, 1/H, … 1.

    Attributes:
        basis: (H + 1, D) samples of control points.
        exact: (D, H + 1) control points of samples, plain least squares.
        smooth: (D, H + 1) control points of samples, with the penalty.
    """

    basis: np.ndarray
    exact: np.ndarray
    smooth: np.ndarray

    @classmethod
    def for_model(cls, config: WorldModelConfig) -> TraceFit:
        """Return the matrices for the model's knots and horizon."""
        steps, count = config.future_len, config.trace_bspline_n_ctrl
        basis = design_matrix(trace_knots(config), DEGREE, np.arange(steps + 1) / steps)
        penalty = SMOOTHING * np.diff(np.eye(count), axis=0)
        smooth = np.linalg.pinv(np.vstack([basis, penalty]))[:, : steps + 1]
        return cls(basis, np.linalg.pinv(basis), smooth)
