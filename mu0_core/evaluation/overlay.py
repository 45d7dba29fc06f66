# SPDX-License-Identifier: Apache-2.0
"""Draw traces into the image they were forecast from."""

from __future__ import annotations

import cv2
import numpy as np

from mu0_core.evaluation.trace_colour import phase_colours
from mu0_core.geometry import camera
from mu0_core.spline.basis import design_matrix
from mu0_core.types import CameraIntrinsics, TraceForecast

_SAMPLES = 33


def forecast_pixels(forecast: TraceForecast, intrinsics: CameraIntrinsics) -> np.ndarray:
    """Return sampled traces (N, 33, 2) in pixels."""
    basis = design_matrix(forecast.knots, forecast.degree, np.linspace(0, 1, _SAMPLES))
    points = np.einsum("hd,ndc->nhc", basis, forecast.control_points.astype(float))
    return camera.project(points, intrinsics)[..., :2]


def draw_forecast(
    rgb: np.ndarray, forecast: TraceForecast, intrinsics: CameraIntrinsics
) -> np.ndarray:
    """Return a copy of rgb (h, w, 3) with the forecast traces, colour by phase."""
    return draw_paths(rgb, forecast_pixels(forecast, intrinsics))


def draw_paths(
    rgb: np.ndarray,
    paths_px: np.ndarray,
    *,
    colour: tuple[int, int, int] | None = None,
    dashed: bool = False,
) -> np.ndarray:
    """Return a copy of rgb with paths (N, K, 2) in pixels.

    Args:
        rgb: (h, w, 3) uint8, left as it is.
        paths_px: (N, K, 2) u right, v down; a path with a non-finite point is left out.
        colour: one RGB for all, or None for colour by phase.
        dashed: draw every other piece only (used for the true future).
    """
    canvas = np.ascontiguousarray(rgb.copy())
    count = paths_px.shape[1]
    scale = (phase_colours(np.linspace(0, 1, count)) * 255).astype(int)
    for path in paths_px:
        if not np.all(np.isfinite(path)):
            continue
        points = np.round(path).astype(int)
        for k in range(count - 1):
            if dashed and k % 2:
                continue
            tint = colour if colour is not None else tuple(int(c) for c in scale[k])
            cv2.line(canvas, tuple(points[k]), tuple(points[k + 1]), tint, 2, cv2.LINE_AA)
        if not dashed:
            cv2.circle(canvas, tuple(points[0]), 3, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(canvas, tuple(points[0]), 3, (30, 30, 30), 1, cv2.LINE_AA)
    return canvas
