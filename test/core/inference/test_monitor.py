# SPDX-License-Identifier: Apache-2.0
"""The task monitor."""

import numpy as np

from mu0_core.inference.monitor import MonitorSettings, RemainingMotionMonitor
from mu0_core.spline.basis import bezier_knots
from mu0_core.types import QueryPoints, TraceForecast


def forecast(motion_m, end=1.0):
    """One point that is expected to move by ``motion_m`` along x; its motion ends at a phase."""
    control = np.zeros((1, 10, 3), np.float32)
    control[0, :, 0] = np.linspace(0, motion_m, 10)
    control[..., 2] = 1.0
    query = QueryPoints(
        np.zeros((1, 2), np.float32),
        np.ones(1, np.float32),
        np.zeros(1, np.uint32),
        np.zeros(1, np.uint16),
        np.zeros(1, np.uint8),
        640,
        480,
    )
    return TraceForecast(
        control,
        bezier_knots(10),
        3,
        np.full(1, end, np.float32),
        None,
        query,
        "do it",
        "m",
        "f",
        0,
    )


def test_progress_rises_as_less_is_left_and_ends_only_after_patience():
    monitor = RemainingMotionMonitor(MonitorSettings(still_m=0.03, patience=2))
    progress = [monitor.update(forecast(m)) for m in (0.4, 0.2, 0.1, 0.01)]
    assert progress == sorted(progress) and progress[-1] < 1.0
    assert monitor.update(forecast(0.01)) == 1.0


def test_motion_in_between_starts_the_patience_anew():
    monitor = RemainingMotionMonitor(MonitorSettings(patience=2))
    values = [monitor.update(forecast(m)) for m in (0.3, 0.01, 0.3, 0.01)]
    assert max(values) < 1.0


def test_reset_forgets():
    monitor = RemainingMotionMonitor(MonitorSettings(patience=1))
    assert monitor.update(forecast(0.0)) == 1.0
    monitor.reset()
    assert monitor.update(forecast(0.4)) == 0.0


def test_what_lies_behind_the_end_of_the_motion_does_not_count():
    monitor = RemainingMotionMonitor(MonitorSettings(still_m=0.03, patience=1))
    assert monitor.update(forecast(0.4, end=0.25)) < 1.0
    assert monitor.update(forecast(0.4, end=0.0)) == 1.0
