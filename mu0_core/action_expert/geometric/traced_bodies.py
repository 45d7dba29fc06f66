# SPDX-License-Identifier: Apache-2.0
"""What a forecast says of each body: its points over the phases, in the base frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.action_expert.geometric.robust_fit import RigidFit, robust_fit
from mu0_core.geometry import se3
from mu0_core.spline.basis import design_matrix
from mu0_core.types import TraceForecast

PHASES = 33  # at which traces are read, 0 and 1 included


@dataclass(frozen=True, slots=True)
class TracedBody:
    """A body of one entity of the picture.

    Attributes:
        entity: its id in the query.
        points_m: (PHASES, N, 3) in the base frame; behind the end of a trace its last point.
        weights: (N,) how sure the forecast is of each point.
    """

    entity: int
    points_m: np.ndarray
    weights: np.ndarray

    @property
    def now_m(self) -> np.ndarray:
        """Return the points (N, 3) as they are seen."""
        return self.points_m[0]

    @property
    def way_m(self) -> np.ndarray:
        """Return the displacement (PHASES, 3) of the middle of the points, by the median."""
        return np.median(self.points_m - self.points_m[0], axis=1)

    def motion(self, phase: int) -> RigidFit:
        """Return the rigid motion from now to a phase."""
        return robust_fit(self.points_m[0], self.points_m[phase], self.weights)


def traced_bodies(forecast: TraceForecast, T_base_camera: np.ndarray) -> list[TracedBody]:
    """Return the bodies of a forecast, one per entity.

    A point weighs less the wider its samples spread, where that is known.
    """
    phases = np.arange(PHASES) / (PHASES - 1)
    capped = np.minimum(phases[:, None], np.maximum(forecast.valid_until, phases[1])[None])
    control = forecast.control_points.astype(float)
    points = np.empty((PHASES, len(control), 3))
    for k, point in enumerate(control):
        points[:, k] = design_matrix(forecast.knots, forecast.degree, capped[:, k]) @ point
    points = se3.apply(T_base_camera, points)
    weights = np.ones(len(control))
    if forecast.spread_m is not None:
        weights = 1 / (0.01 + forecast.spread_m.mean(axis=1).astype(float)) ** 2
        weights = weights / weights.max()
    entities = forecast.query.entity_ids.astype(int)
    return [
        TracedBody(int(k), points[:, entities == k], weights[entities == k])
        for k in np.unique(entities)
    ]
