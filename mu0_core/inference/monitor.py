# SPDX-License-Identifier: Apache-2.0
"""Judge from successive forecasts how much of the asked motion is left.

μ0 forecasts the rest of the motion and where on each trace it ends; when nothing is expected to
move before its end, the task is over as far as the model can tell. Whether it was achieved is not
known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.spline.basis import design_matrix
from mu0_core.types import TraceForecast

_SAMPLES = 33


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """When motion counts as over: what is left is below ``still_m``, ``patience`` in a row."""

    still_m: float = 0.03
    patience: int = 2

    def __post_init__(self) -> None:
        if self.still_m <= 0 or self.patience < 1:
            raise ConfigError(f"still_m {self.still_m} must be > 0, patience {self.patience} >= 1")


class RemainingMotionMonitor:
    """Progress from the forecast displacement that is left."""

    def __init__(self, settings: MonitorSettings | None = None) -> None:
        self.settings = settings or MonitorSettings()
        self.reset()

    def reset(self) -> None:
        """Forget the last task."""
        self._largest_m = 0.0
        self._still = 0

    def update(self, forecast: TraceForecast) -> float:
        """Return the progress 0..1; 1 only after ``patience`` still forecasts in a row."""
        remaining = remaining_motion_m(forecast)
        self._largest_m = max(self._largest_m, remaining)
        self._still = self._still + 1 if remaining < self.settings.still_m else 0
        if self._still >= self.settings.patience:
            return 1.0
        share = remaining / max(self._largest_m, self.settings.still_m)
        return float(np.clip(1.0 - share, 0.0, 0.99))


def remaining_motion_m(forecast: TraceForecast) -> float:
    """Return how far the second farthest point still goes, on its trace up to its end.

    One point with a wild forecast does not keep a task alive; a hand of which little is seen does.
    """
    phases = np.linspace(0.0, 1.0, _SAMPLES)
    basis = design_matrix(forecast.knots, forecast.degree, phases)
    control = forecast.control_points.astype(float)
    offset = np.einsum("hd,ndc->nhc", basis, control - control[:, :1])
    belongs = phases <= forecast.valid_until[:, None] + 1e-6
    farthest = (np.linalg.norm(offset, axis=-1) * belongs).max(axis=1)
    return float(np.sort(farthest)[-2:].min(initial=np.inf)) if len(farthest) else 0.0
