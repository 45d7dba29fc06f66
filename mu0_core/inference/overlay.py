# SPDX-License-Identifier: Apache-2.0
"""Draw forecast traces into the image they were made from. Pictures for people; nothing reads them."""

from __future__ import annotations

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.geometry import camera
from mu0_core.spline.basis import design_matrix
from mu0_core.types import CameraIntrinsics, TraceForecast

_NOW, _END = np.array([40.0, 90.0, 255.0]), np.array([255.0, 50.0, 30.0])


def sample_traces(forecast: TraceForecast, num_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, S, 3) in metres on the traces and their phase (S,), 0 to 1.

    Raises:
        ConfigError: fewer than two samples.
    """
    if num_samples < 2:
        raise ConfigError(f"num_samples = {num_samples}: a trace needs at least 2")
    phase = np.linspace(0.0, 1.0, num_samples)
    basis = design_matrix(forecast.knots, forecast.degree, phase)
    return basis @ forecast.control_points.astype(np.float64), phase


def phase_colours(phase: np.ndarray) -> np.ndarray:
    """Return RGB (S, 3) in 0..255: blue now, red at the end of the motion."""
    return _NOW + (_END - _NOW) * np.asarray(phase, dtype=float)[:, None]


def draw_traces(
    rgb: np.ndarray, forecast: TraceForecast, intrinsics: CameraIntrinsics, num_samples: int = 33
) -> np.ndarray:
    """Return a copy of an image (h, w, 3) uint8 with the traces drawn up to ``valid_until``.

    Lines are drawn with OpenCV; where it is not installed, one pixel for each sample.
    """
    image = np.array(rgb, dtype=np.uint8, order="C")
    points, phase = sample_traces(forecast, num_samples)
    pixels = camera.project(points, intrinsics)[..., :2]
    colours = phase_colours(phase)
    for trace, valid_until in zip(pixels, forecast.valid_until):
        shown = np.isfinite(trace).all(axis=1) & (np.abs(trace) < 1e5).all(axis=1)
        shown &= phase <= valid_until + 1e-6
        _draw(image, trace, colours, shown)
    return image


def _draw(image: np.ndarray, trace: np.ndarray, colours: np.ndarray, shown: np.ndarray) -> None:
    whole = np.round(np.where(np.isfinite(trace), trace, -1.0)).astype(int)
    try:
        import cv2
    except ImportError:
        height, width = image.shape[:2]
        inside = shown & (whole >= 0).all(axis=1) & (whole < [width, height]).all(axis=1)
        image[whole[inside, 1], whole[inside, 0]] = colours[inside].astype(np.uint8)
        return
    for k in np.flatnonzero(shown[:-1] & shown[1:]):
        cv2.line(image, whole[k].tolist(), whole[k + 1].tolist(), colours[k].tolist(), 2, cv2.LINE_AA)
    if shown[0]:
        cv2.circle(image, whole[0].tolist(), 3, (255, 255, 255), -1, cv2.LINE_AA)
