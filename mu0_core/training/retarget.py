# SPDX-License-Identifier: Apache-2.0
"""Arc-length retargeting of traces (μ0 paper): equal steps of motion instead of equal time.

How fast a demonstration was is no property of the task. All points of an observation share one
clock, the length of the fastest points' path; a trace is resampled at equal lengths of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.data.arc_length import FASTEST_SHARE, STEP_LENGTH
from mu0_core.errors import ConfigError, ShapeError


@dataclass(frozen=True, slots=True)
class RetargetSettings:
    """How the shared clock advances.

    Attributes:
        steps: H, future steps after the current one.
        step_length: path length per step; image widths, image heights and metres of depth count
            alike.
        fastest_share: share of the points whose mean step drives the clock.
    """

    steps: int = 32
    step_length: float = STEP_LENGTH
    fastest_share: float = FASTEST_SHARE

    def __post_init__(self) -> None:
        if self.steps < 1 or self.step_length <= 0 or not 0 < self.fastest_share <= 1:
            raise ConfigError(
                f"retargeting needs steps >= 1, step_length > 0, fastest_share in (0, 1]: {self}"
            )


@dataclass(frozen=True, slots=True)
class RetargetedTraces:
    """Resampled traces.

    Attributes:
        points: (H + 1, N, 3); behind the end of the motion the last position repeats.
        num_steps: steps (0..H) that belong to the motion.
        length: path length of the whole motion, also beyond the horizon.
    """

    points: np.ndarray
    num_steps: int
    length: float


def retarget(path: np.ndarray, settings: RetargetSettings) -> RetargetedTraces:
    """Resample tracks (T, N, 3) of x / width, y / height, z in metres at equal path length.

    Raises:
        ShapeError: not (T >= 1, N >= 1, 3).
    """
    if path.ndim != 3 or path.shape[2] != 3 or not len(path) or not path.shape[1]:
        raise ShapeError(f"tracks have shape {path.shape}, expected (T >= 1, N >= 1, 3)")
    clock = _clock(path, settings.fastest_share)
    length = float(clock[-1])
    num_steps = min(int(np.floor(length / settings.step_length + 1e-6)), settings.steps)
    distinct = np.concatenate([[True], np.diff(clock) > 1e-9])
    clock, path = clock[distinct], path[distinct]
    if len(clock) < 2:
        return RetargetedTraces(np.repeat(path[:1], settings.steps + 1, axis=0), num_steps, length)
    wanted = np.minimum(np.arange(settings.steps + 1) * settings.step_length, length)
    left = np.clip(np.searchsorted(clock, wanted, side="right") - 1, 0, len(clock) - 2)
    share = (wanted - clock[left]) / (clock[left + 1] - clock[left])
    share = share[:, None, None]
    points = path[left] * (1 - share) + path[left + 1] * share
    return RetargetedTraces(points, num_steps, length)


def _clock(path: np.ndarray, fastest_share: float) -> np.ndarray:
    """Return the shared arc length (T,) at each sample, 0 at the first."""
    step = np.linalg.norm(np.diff(path, axis=0), axis=-1)
    fastest = max(1, int(np.ceil(fastest_share * path.shape[1])))
    mean = np.sort(step, axis=1)[:, -fastest:].mean(axis=1)
    return np.concatenate([[0.0], np.cumsum(mean)])
