# SPDX-License-Identifier: Apache-2.0
"""Forecast errors of the μ0 paper: ADE, FDE, DTW, Fréchet, best of S, smoothness, done accuracy.

Every error is one number per query point (NaN without a valid step) and sample; `summarise` averages
over the points that count. Traces are absolute: (u, v) in [-1, 1] and z in metres, or metres.
"""

from __future__ import annotations

import numpy as np

from mu0_core.errors import ShapeError

AXES = {"uvz": (0, 1, 2), "uv": (0, 1), "depth": (2,)}
PATH_ERRORS = ("ade", "fde", "dtw", "frechet")


def path_errors(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
    """Return each path error per sample and point, (S, N); NaN where no step is valid.

    Args:
        predicted: (S, N, H, c); truth: (N, H, c); valid: (N, H) bool.

    Raises:
        ShapeError: the shapes disagree.
    """
    samples, points, steps, _ = predicted.shape
    if truth.shape != predicted.shape[1:] or valid.shape != (points, steps):
        raise ShapeError(
            f"predicted {predicted.shape}, truth {truth.shape}, valid {valid.shape} disagree"
        )
    distance = np.linalg.norm(predicted - truth, axis=-1)
    counts = valid.sum(axis=1)
    any_valid = counts > 0
    safe = np.maximum(counts, 1)
    ade = np.where(valid, distance, 0).sum(axis=-1) / safe
    last = steps - 1 - np.argmax(valid[:, ::-1], axis=1)
    fde = np.take_along_axis(distance, last[None, :, None], axis=2)[..., 0]
    dtw, frechet = np.full((2, samples, points), np.nan)
    for count in np.unique(counts[any_valid]):  # points with the same number of steps at once
        rows = np.flatnonzero(counts == count)
        order = np.stack([np.flatnonzero(valid[r]) for r in rows])
        left = np.take_along_axis(predicted[:, rows], order[None, :, :, None], axis=2)
        right = np.take_along_axis(truth[rows], order[:, :, None], axis=1)
        cost = np.linalg.norm(
            left[:, :, :, None].astype(np.float64) - right[None, :, None].astype(np.float64), axis=-1
        )
        total, largest = _align(cost)
        dtw[:, rows], frechet[:, rows] = total / count, largest
    blank = np.where(any_valid, 1.0, np.nan)
    return {"ade": ade * blank, "fde": fde * blank, "dtw": dtw, "frechet": frechet}


def _align(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least sum and the least largest cost of monotone alignments of (..., K, K)."""
    count = cost.shape[-1]
    total, largest = np.full((2, *cost.shape), np.inf)
    for i in range(count):
        for j in range(count):
            here = cost[..., i, j]
            if i == j == 0:
                total[..., 0, 0] = largest[..., 0, 0] = here
                continue
            befores = [
                (a, b) for a, b in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if a >= 0 and b >= 0
            ]
            total[..., i, j] = here + np.min([total[..., a, b] for a, b in befores], axis=0)
            way = np.min([largest[..., a, b] for a, b in befores], axis=0)
            largest[..., i, j] = np.maximum(here, way)
    return total[..., -1, -1], largest[..., -1, -1]


def smoothness(paths: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the mean L2 of second differences (S, N) over interior steps with valid neighbours."""
    second = np.linalg.norm(paths[..., 2:, :] - 2 * paths[..., 1:-1, :] + paths[..., :-2, :], axis=-1)
    inner = valid[:, 2:] & valid[:, 1:-1] & valid[:, :-2]
    counts = inner.sum(axis=1)
    mean = np.where(inner, second, 0).sum(axis=-1) / np.maximum(counts, 1)
    return np.where(counts > 0, mean, np.nan)


def summarise(
    predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray, horizon: int
) -> dict[str, float]:
    """Return the released result keys for one horizon.

    Args:
        predicted: (S, N, H, 3); truth: (N, H, 3); valid: (N, H) bool, false also for padding.
        horizon: first steps that count.
    """
    predicted, truth, valid = predicted[:, :, :horizon], truth[:, :horizon], valid[:, :horizon]
    samples = len(predicted)
    result: dict[str, float] = {}
    for name, axes in AXES.items():
        left, right = predicted[..., axes], truth[..., axes]
        for key, values in path_errors(left, right, valid).items():
            result[f"{key}_{name}"] = float(np.nanmean(values[0]))
            label = {"ade": "ADE", "fde": "FDE", "dtw": "DTW", "frechet": "Frechet"}[key]
            result[f"min{label}_{samples}_{name}"] = float(np.nanmean(np.min(values, axis=0)))
        result[f"smooth_pred_{name}"] = float(np.nanmean(smoothness(left, valid)))
        result[f"smooth_gt_{name}"] = float(np.nanmean(smoothness(right[None], valid)))
        first = np.abs(left[0] - right).sum(axis=-1)
        l1 = {"uvz": "l1_abs", "uv": "l1_uv", "depth": "l1_depth"}[name]
        result[l1] = float(first[valid].mean()) if valid.any() else float("nan")
    return result
