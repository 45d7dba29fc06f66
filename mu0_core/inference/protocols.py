# SPDX-License-Identifier: Apache-2.0
"""The seams between perception, forecast, action and robot: what the ROS nodes talk to.

The nodes and the direct roll-out use the same objects behind these Protocols; tests put small
deterministic fakes in their place. Time and transforms are always arguments.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mu0_core.types import ActionChunk, Proprioception, QueryPoints, RgbdFrame, TraceForecast


class QueryPointSelector(Protocol):
    """Chooses query points from the image alone."""

    def select(self, frame: RgbdFrame, max_points: int) -> QueryPoints:
        """Return at most ``max_points`` points; raises `NoQueryPointsError` when there is none."""
        ...


class TraceForecaster(Protocol):
    """Forecasts traces of query points (the world model)."""

    model_id: str

    def forecast(
        self,
        frame: RgbdFrame,
        instruction: str,
        query: QueryPoints,
        *,
        num_samples: int = 1,
        seed: int = 0,
        sequence: int = 0,
    ) -> TraceForecast:
        """Return the forecast; raises `InferenceError` or `ObservationError`."""
        ...


class ActionExpert(Protocol):
    """Turns a forecast into a proposal for one arm."""

    model_id: str

    def propose(
        self,
        forecast: TraceForecast,
        proprioception: Proprioception,
        T_base_camera: np.ndarray,
        *,
        start_ns: int,
        sequence: int = 0,
        seed: int = 0,
    ) -> ActionChunk:
        """Return a chunk from ``start_ns`` on; raises `InferenceError` or `KinematicsError`."""
        ...


class TaskMonitor(Protocol):
    """Judges from successive forecasts whether the asked motion is over."""

    def reset(self) -> None:
        """Forget the last task."""
        ...

    def update(self, forecast: TraceForecast) -> float:
        """Take a forecast in and return the progress 0..1 (1 = nothing is left to move)."""
        ...
