# SPDX-License-Identifier: Apache-2.0
"""Scale and offset of a depth sensor against known geometry: ``true = scale * sensor + offset``.

The truth is a board whose pose its corners give, or a wall at measured distances. Depth is along
the optical axis (REP 118). A board is only as true as its printed size and the intrinsics: one
that is 1 % larger than said makes depth look 1 % long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from mu0_core.calibration.board import Board
from mu0_core.calibration.board_pose import board_pose
from mu0_core.calibration.lens import Lens
from mu0_core.errors import DataError

_FEWEST_VIEWS = 2
_PER_VIEW = 400
_INNER = 0.9  # share of the board that is read: its rim mixes with the background
_WALL = 0.1  # half the side of the window on a wall, as a share of the image
_LEAST_RATIO = 1.15  # of distances, to tell an offset from a scale
_NOISE_1M_M, _NOISE_FLOOR_M = 0.0015, 0.001
_UNITS = (0.02, 50.0)


@dataclass(frozen=True, slots=True)
class DepthSamples:
    """Sensor and true depth (N,) in metres of pixels of one view."""

    name: str
    sensor_m: np.ndarray
    true_m: np.ndarray


@dataclass(frozen=True, slots=True)
class ViewDepth:
    """One view: its true distance, and the median error before and after, in mm."""

    name: str
    distance_m: float
    before_mm: float
    after_mm: float


@dataclass(frozen=True, slots=True)
class DepthScale:
    """The result.

    Attributes:
        scale, offset_m: as `mu0_ros` applies them.
        scale_error, offset_error_m: standard errors from leaving out one view at a time; NaN with
            fewer than three views.
        before_mm, after_mm: median error of all pixels, without its sign.
        views: one by one.
        warnings: in words.
    """

    scale: float
    offset_m: float
    scale_error: float
    offset_error_m: float
    before_mm: float
    after_mm: float
    views: tuple[ViewDepth, ...]
    warnings: tuple[str, ...]


def board_samples(
    name: str, rgb: np.ndarray, depth_m: np.ndarray, board: Board, lens: Lens
) -> DepthSamples | None:
    """Return depth on a board in a colour image (h, w, 3) with depth (h, w), None if not seen.

    Raises:
        DataError: the images have another size than the camera file says.
    """
    c = lens.intrinsics
    if rgb.shape[:2] != (c.height, c.width) or depth_m.shape != (c.height, c.width):
        raise DataError(
            f"{name}: colour is {rgb.shape[1]}x{rgb.shape[0]}, depth {depth_m.shape[1]}x"
            f"{depth_m.shape[0]}, the camera file says {c.width}x{c.height}"
        )
    found = board.find(rgb)
    if found is None:
        return None
    T, _ = board_pose(found.board_m, lens.straighten(found.uv_px), lens, name)
    u0, v0 = np.floor(found.uv_px.min(0)).astype(int)
    u1, v1 = np.ceil(found.uv_px.max(0)).astype(int) + 1
    v, u = np.mgrid[max(v0, 0) : min(v1, c.height), max(u0, 0) : min(u1, c.width)].reshape(2, -1)
    straight = lens.straighten(np.stack([u, v], -1).astype(float))
    rays = np.column_stack([(straight - [c.cx, c.cy]) / [c.fx, c.fy], np.ones(len(u))])
    true = (T[:3, 2] @ T[:3, 3]) / (rays @ T[:3, 2])
    on_board = (rays * true[:, None] - T[:3, 3]) @ T[:3, :2]
    low, high = found.board_m[:, :2].min(0), found.board_m[:, :2].max(0)
    off = np.abs(on_board - (low + high) / 2) / np.maximum((high - low) / 2, 1e-6)
    inside = np.all(off < _INNER, axis=1)
    return _samples(name, depth_m[v, u][inside], true[inside])


def wall_samples(name: str, depth_m: np.ndarray, distance_m: float) -> DepthSamples:
    """Return depth in the middle of an image that looks straight at a wall."""
    h, w = depth_m.shape
    rows, columns = (slice(int(n * (0.5 - _WALL)), int(n * (0.5 + _WALL)) + 1) for n in (h, w))
    window = depth_m[rows, columns].ravel()
    return _samples(name, window, np.full(window.shape, distance_m))


def fit_depth_scale(samples: Sequence[DepthSamples]) -> DepthScale:
    """Return scale and offset.

    Raises:
        DataError: too few views, or depth in other units than metres.
    """
    samples = [s for s in samples if len(s.sensor_m) >= 20]
    if len(samples) < _FEWEST_VIEWS:
        raise DataError(
            f"{len(samples)} views show depth on what is known, {_FEWEST_VIEWS} or more are needed"
        )
    ratio = float(np.median(np.concatenate([s.true_m / s.sensor_m for s in samples])))
    if not _UNITS[0] <= ratio <= _UNITS[1]:
        raise DataError(
            f"true depth is {ratio:g} times that of the sensor, allowed {_UNITS[0]:g} to "
            f"{_UNITS[1]:g}: is the unit of the depth images right (--depth-unit-m)?"
        )
    distances = [float(np.median(s.true_m)) for s in samples]
    both = max(distances) / min(distances) >= _LEAST_RATIO
    scale, offset = _fit(samples, both)
    scale_error, offset_error = _jackknife(samples, both)
    errors = [_errors_mm(s, scale, offset) for s in samples]
    views = tuple(
        ViewDepth(s.name, d, float(np.median(before)), float(np.median(after)))
        for s, d, (before, after) in zip(samples, distances, errors)
    )
    before, after = (
        float(np.median(np.abs(np.concatenate([e[k] for e in errors])))) for k in (0, 1)
    )
    return DepthScale(
        scale, offset, scale_error, offset_error, before, after, views,
        tuple(_warnings(distances, both, before, after)),
    )  # fmt: skip


def _samples(name: str, sensor_m: np.ndarray, true_m: np.ndarray) -> DepthSamples:
    """Keep known depth, at most `_PER_VIEW` pixels evenly, so that every view counts alike."""
    known = np.flatnonzero(np.isfinite(sensor_m) & (sensor_m > 0) & np.isfinite(true_m))
    pick = known[np.linspace(0, len(known) - 1, min(len(known), _PER_VIEW)).astype(int)]
    return DepthSamples(name, sensor_m[pick].astype(float), true_m[pick].astype(float))


def _fit(samples: Sequence[DepthSamples], both: bool) -> tuple[float, float]:
    sensor = np.concatenate([s.sensor_m for s in samples])
    true = np.concatenate([s.true_m for s in samples])
    sigma = np.maximum(_NOISE_FLOOR_M, _NOISE_1M_M * true**2)

    def residuals(x: np.ndarray) -> np.ndarray:
        return (x[0] * sensor + (x[1] if both else 0.0) - true) / sigma

    start = [float(np.median(true / sensor)), 0.0]
    found = least_squares(residuals, start if both else start[:1], loss="cauchy", x_scale="jac").x
    return float(found[0]), float(found[1]) if both else 0.0


def _jackknife(samples: Sequence[DepthSamples], both: bool) -> tuple[float, float]:
    count = len(samples)
    if count < 3:
        return float("nan"), float("nan")
    without = [_fit([s for j, s in enumerate(samples) if j != k], both) for k in range(count)]
    scale, offset = np.sqrt((count - 1) * np.var(without, axis=0))
    return float(scale), float(offset)


def _errors_mm(s: DepthSamples, scale: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    return (s.sensor_m - s.true_m) * 1e3, (scale * s.sensor_m + offset - s.true_m) * 1e3


def _warnings(distances: list[float], both: bool, before: float, after: float) -> list[str]:
    words = []
    if not both:
        words.append(
            f"all views are {min(distances):.2f} to {max(distances):.2f} m away: only the scale "
            f"was fitted; for an offset let distances differ by {_LEAST_RATIO:g} times and more"
        )
    if len(distances) < 5:
        words.append(
            f"{len(distances)} views were used, 5 or more at different distances are better"
        )
    if after > 0.9 * before:
        words.append(
            f"hardly better than without ({before:.1f} to {after:.1f} mm): what is left is noise "
            "or no straight line"
        )
    return words
