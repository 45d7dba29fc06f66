# SPDX-License-Identifier: Apache-2.0
"""Depth maps as colour images for the backbone (μ0 paper): inverse log depth through turbo.

Near is index 255, far and unknown are index 0. A robot renders its sensor's metres with the fixed
log range of the normaliser; `align_depth` is only for depth estimated from one image, whose scale
is unknown: it maps every scene onto the same range and so destroys metric scale.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from mu0_core.errors import ConfigError, DataError, ShapeError

MIN_DEPTH_M = 1e-3
_TURBO = np.array(  # Mikhailov's polynomial: rows red, green, blue; columns x^0..x^5
    [
        [0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943],
        [0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604],
        [0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973],
    ]
)


class DepthAlignment(Enum):
    """How estimated depth is brought to the range of the training data."""

    NONE = "none"
    LOG_PERCENTILE = "log_percentile"
    MEDIAN_SCALE = "median_scale"


def turbo_table() -> np.ndarray:
    """Return the colours (256, 3) float32 in 0..1."""
    powers = np.vander(np.arange(256) / 255.0, _TURBO.shape[1], increasing=True)
    return np.clip(powers @ _TURBO.T, 0.0, 1.0).astype(np.float32)


_TABLE = turbo_table()


def is_valid_depth(depth_m: np.ndarray) -> np.ndarray:
    """Return where depth is a measurement: finite and above a millimetre."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(depth_m) & (depth_m > MIN_DEPTH_M)


def render_depth(depth_m: np.ndarray, log_min: float, log_max: float) -> np.ndarray:
    """Return the colour image (h, w, 3) float32 in 0..1 of depth (h, w) in metres.

    Raises:
        ShapeError: not a matrix.
        ConfigError: ``log_min`` is not below ``log_max``.
    """
    depth_m = _checked(depth_m, log_min, log_max)
    valid = is_valid_depth(depth_m)
    low, high = np.exp(np.float32([log_min, log_max]))
    log_depth = np.log(np.clip(np.where(valid, depth_m, low), low, high))
    near = 1.0 - (log_depth - np.float32(log_min)) / np.float32(log_max - log_min)
    index = np.clip(np.where(valid, near, 0.0) * np.float32(255.0), 0, 255).astype(np.uint8)
    return _TABLE[index]


def align_depth(
    depth_m: np.ndarray, method: DepthAlignment, log_min: float, log_max: float
) -> np.ndarray:
    """Return (h, w) float32 estimated depth in the range of the training data; unknown is NaN.

    ``LOG_PERCENTILE`` sends the image's 1st and 99th percentile of log depth to the two ends of
    the range; ``MEDIAN_SCALE`` multiplies so that the median lands in the middle of the log
    range.

    Raises:
        ShapeError: not a matrix.
        DataError: no valid pixel, or a constant image under ``LOG_PERCENTILE``.
        ConfigError: ``log_min`` is not below ``log_max``.
    """
    depth_m = _checked(depth_m, log_min, log_max)
    valid = is_valid_depth(depth_m)
    if not valid.any():
        raise DataError("no pixel of the depth image is finite and above a millimetre")
    known = depth_m[valid].astype(np.float64)
    if method is DepthAlignment.LOG_PERCENTILE:
        first, last = np.percentile(np.log(known), [1, 99])
        if last <= first:
            raise DataError(f"every depth is {known[0]} m; percentiles cannot be aligned")
        scale = (log_max - log_min) / (last - first)
        known = np.exp((np.log(known) - first) * scale + log_min)
    elif method is DepthAlignment.MEDIAN_SCALE:
        known = known * (np.exp((log_min + log_max) / 2) / np.median(known))
    aligned = np.full(depth_m.shape, np.nan, np.float32)
    aligned[valid] = known
    return aligned


def _checked(depth_m: np.ndarray, log_min: float, log_max: float) -> np.ndarray:
    if np.ndim(depth_m) != 2:
        raise ShapeError(f"depth has shape {np.shape(depth_m)}, expected (h, w)")
    if not log_min < log_max:
        raise ConfigError(f"log depth range {log_min}..{log_max} must rise")
    return np.asarray(depth_m, dtype=np.float32)
