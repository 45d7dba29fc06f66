# SPDX-License-Identifier: Apache-2.0
"""Errors like a forecaster's, put on true traces: drift, wobble, wrong ends, lost points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOVING_END_M = 0.01
MOVING_ANY_M = 0.02
_STILL_SHARE = 0.15  # forecasts of points at rest are better by this factor


@dataclass(frozen=True, slots=True)
class TraceNoise:
    """Standard deviations in metres, for moving points; see `disturb`.

    Attributes:
        drift_m: grows along the trace, common to all points.
        wobble_m: per control point, common to all points.
        own_drift_m: grows along the trace, per point.
        start_m: of where a point is seen.
        severity: mean of the exponential factor on drift and wobble per observation, at most 2.
        end_phase: of the end of motion.
        keep_points_min: least share of points that stay; fewer than ``few_points`` never leave.
    """

    drift_m: float = 0.018
    wobble_m: float = 0.006
    own_drift_m: float = 0.003
    start_m: float = 0.0015
    severity: float = 0.6
    end_phase: float = 0.05
    keep_points_min: float = 0.6
    few_points: int = 8

    def disturb(
        self,
        control_m: np.ndarray,
        valid_until: np.ndarray,
        point_valid: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return disturbed copies.

        Args:
            control_m: (B, N, D, 3); the first control point is where the point is now.
            valid_until: (B, N) phase.
            point_valid: (B, N) bool.
            rng: source of all noise.
        """
        batch, points, count, _ = control_m.shape
        phase = np.linspace(0, 1, count)[:, None]
        moving = _moving(control_m)
        severity = np.minimum(rng.exponential(self.severity, (batch, 1, 1, 1)), 2)
        common = rng.normal(0, self.drift_m, (batch, 1, 1, 3)) * phase
        common = common + rng.normal(0, self.wobble_m, (batch, 1, count, 3))
        own = rng.normal(0, self.own_drift_m, (batch, points, 1, 3)) * phase
        noise = (common * severity + own) * np.where(moving, 1, _STILL_SHARE)[:, :, None, None]
        start = rng.normal(0, self.start_m, (batch, points, 1, 3))
        ends = np.clip(valid_until + rng.normal(0, self.end_phase, valid_until.shape), 0, 1)
        share = rng.uniform(self.keep_points_min, 1, (batch, 1))
        kept = rng.random((batch, points)) < share
        few = (kept & point_valid).sum(axis=1, keepdims=True) < self.few_points
        return control_m + noise + start, ends, point_valid & (kept | few)


def _moving(control_m: np.ndarray) -> np.ndarray:
    """Return (B, N) bool: which points move at all."""
    offset = control_m - control_m[:, :, :1]
    end = np.linalg.norm(offset[:, :, -1], axis=-1) > MOVING_END_M
    return end | (np.abs(offset).max(axis=(2, 3)) > MOVING_ANY_M)
