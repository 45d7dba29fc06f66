# SPDX-License-Identifier: Apache-2.0
"""Forecast errors of the μ0 paper: ADE, FDE, DTW, Fréchet, best of S, L1, smoothness.

Every error is one number per query point (NaN without a valid step) and sample; `summarise` and
`summarise_metres` average over the points that count. Traces are absolute: (u, v) in [-1, 1] and z
in metres, or x, y, z in metres. The released errors over u, v and z add image units and metres.
"""

from __future__ import annotations

import numpy as np

from mu0_core.errors import DataError, NonFiniteOutputError, ShapeError

AXES = {"uvz": (0, 1, 2), "uv": (0, 1), "depth": (2,)}
PATH_ERRORS = ("ade", "fde", "dtw", "frechet")
_BEST_OF = {"ade": "ADE", "fde": "FDE", "dtw": "DTW", "frechet": "Frechet"}
_L1 = {"uvz": "l1_abs", "uv": "l1_uv", "depth": "l1_depth"}


def path_errors(
    predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each path error per sample and point, (S, N); NaN where no step is valid.

    ADE is the mean distance over valid steps, FDE that at the last one; DTW is the least sum over
    monotone alignments of the valid steps divided by their number, Fréchet the least largest.
    A failed prediction is an error, never left out of a mean.

    Args:
        predicted: (S, N, H, c).
        truth: (N, H, c); ignored where not valid.
        valid: (N, H) bool.

    Raises:
        ShapeError: the shapes disagree.
        NonFiniteOutputError: a prediction at a valid step is not finite.
        DataError: the truth at a valid step is not finite.
    """
    if predicted.ndim != 4:
        raise ShapeError(f"predicted {predicted.shape}: expected (S, N, H, c)")
    samples, points, steps, _ = predicted.shape
    if truth.shape != predicted.shape[1:] or valid.shape != (points, steps):
        raise ShapeError(
            f"predicted {predicted.shape}, truth {truth.shape}, valid {valid.shape} disagree"
        )
    if not np.isfinite(predicted[:, valid]).all():
        raise NonFiniteOutputError("a predicted trace holds NaN or infinity at a valid step")
    if not np.isfinite(truth[valid]).all():
        raise DataError("a true trace holds NaN or infinity at a valid step")
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
        left, right = left.astype(np.float64), right.astype(np.float64)
        cost = np.linalg.norm(left[:, :, :, None] - right[None, :, None], axis=-1)
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
    """Return the mean length of second differences (S, N) over steps with valid neighbours."""
    second = paths[..., 2:, :] - 2 * paths[..., 1:-1, :] + paths[..., :-2, :]
    inner = valid[:, 2:] & valid[:, 1:-1] & valid[:, :-2]
    counts = inner.sum(axis=1)
    length = np.where(inner, np.linalg.norm(second, axis=-1), 0)
    return np.where(counts > 0, length.sum(axis=-1) / np.maximum(counts, 1), np.nan)


def mean_l1(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> float:
    """Return the mean over valid steps of the absolute errors summed over axes; NaN without any.

    The released ``l1_delta`` is this in scaled displacements. Every step counts alike; the release
    averages the means of its batches, which differ where batches hold unequal numbers of steps.

    Args:
        predicted: (N, H, c) one sample.
        truth: (N, H, c).
        valid: (N, H) bool.
    """
    return _mean(np.abs(predicted - truth).sum(axis=-1)[valid])


def summarise(
    predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray, horizon: int
) -> dict[str, float]:
    """Return the released result keys for one horizon; NaN where no point counts.

    Args:
        predicted: (S, N, H, 3) u, v in [-1, 1], z in metres; sample 0 is the top-1.
        truth: (N, H, 3).
        valid: (N, H) bool, false also for padding.
        horizon: first steps that count, 1..H.

    Raises:
        ShapeError: the shapes disagree, or the horizon is not in 1..H.
    """
    predicted, truth, valid = _cut(predicted, truth, valid, horizon)
    result: dict[str, float] = {}
    for name, axes in AXES.items():
        left, right = predicted[..., axes], truth[..., axes]
        result |= _best_and_first(left, right, valid, name)
        result[f"smooth_pred_{name}"] = _mean(smoothness(left, valid))
        result[f"smooth_gt_{name}"] = _mean(smoothness(right[None], valid))
        result[_L1[name]] = mean_l1(left[0], right, valid)
    return result


def summarise_metres(
    predicted_m: np.ndarray, truth_m: np.ndarray, valid: np.ndarray, horizon: int
) -> dict[str, float]:
    """Return the path errors (keys ``ade_m``, ``minADE_S_m``, ...) of unprojected traces.

    Args:
        predicted_m: (S, N, H, 3) metres in the optical frame.
        truth_m: (N, H, 3) metres in the optical frame.
        valid: (N, H) bool, false also for padding.
        horizon: first steps that count, 1..H.

    Raises:
        ShapeError: the shapes disagree, or the horizon is not in 1..H.
    """
    return _best_and_first(*_cut(predicted_m, truth_m, valid, horizon), "m")


def _best_and_first(
    predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray, name: str
) -> dict[str, float]:
    """Return each path error of sample 0 and of the best sample of each point."""
    result: dict[str, float] = {}
    for key, values in path_errors(predicted, truth, valid).items():
        result[f"{key}_{name}"] = _mean(values[0])
        result[f"min{_BEST_OF[key]}_{len(values)}_{name}"] = _mean(values.min(axis=0))
    return result


def _cut(
    predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray, horizon: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not 1 <= horizon <= valid.shape[-1]:
        raise ShapeError(f"horizon {horizon}: expected 1..{valid.shape[-1]}")
    return predicted[:, :, :horizon], truth[:, :horizon], valid[:, :horizon]


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
