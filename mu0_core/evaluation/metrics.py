# SPDX-License-Identifier: Apache-2.0
"""Forecast errors of the μ0 paper: ADE, FDE, DTW, Fréchet, best of S, L1, smoothness.

Every error is one number per query point (NaN without a valid step) and sample; `summarise` and
`summarise_metres` average over the points that count. Traces are absolute: (u, v) in [-1, 1] and z
in metres, or x, y, z in metres. The released errors over u, v and z add image units and metres.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mu0_core.errors import DataError, NonFiniteOutputError, ShapeError

AXES = {"uvz": (0, 1, 2), "uv": (0, 1), "depth": (2,)}
PATH_ERRORS = ("ade", "fde", "dtw", "frechet")
_BEST_OF = {"ade": "ADE", "fde": "FDE", "dtw": "DTW", "frechet": "Frechet"}
_L1 = {"uvz": "l1_abs", "uv": "l1_uv", "depth": "l1_depth"}


def path_errors(
    predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each path error per sample and point, (S, N), over all steps; see `errors_at`."""
    if predicted.ndim != 4:
        raise ShapeError(f"predicted {predicted.shape}: expected (S, N, H, c)")
    return errors_at(predicted, truth, valid, predicted.shape[2:3])[predicted.shape[2]]


def errors_at(
    predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray, horizons: Sequence[int]
) -> dict[int, dict[str, np.ndarray]]:
    """Return each path error per sample and point, (S, N), of the first steps of each horizon.

    ADE is the mean distance over valid steps, FDE that at the last one; DTW is the least sum over
    monotone alignments of the valid steps divided by their number, Fréchet the least largest.
    NaN where no step is valid. A failed prediction is an error, never left out of a mean.

    Args:
        predicted: (S, N, H, c).
        truth: (N, H, c); ignored where not valid.
        valid: (N, H) bool.
        horizons: first steps that count, each in 1..H.

    Raises:
        ShapeError: the shapes disagree, or a horizon is not in 1..H.
        NonFiniteOutputError: a prediction at a valid step is not finite.
        DataError: the truth at a valid step is not finite.
    """
    _check(predicted, truth, valid)
    steps = valid.shape[1]
    if not all(1 <= h <= steps for h in horizons):
        raise ShapeError(f"horizon {' '.join(map(str, horizons))}: expected 1..{steps}")
    left = np.where(valid[..., None], predicted, 0).astype(np.float64)
    right = np.where(valid[..., None], truth, 0).astype(np.float64)
    distance = np.linalg.norm(left - right, axis=-1)
    counts = np.stack([valid[:, :h].sum(axis=1) for h in horizons])
    order = np.argsort(~valid, axis=1, kind="stable")  # valid steps first, in their order
    left = np.take_along_axis(left, order[None, :, :, None], axis=2)
    right = np.take_along_axis(right, order[:, :, None], axis=1)
    total, largest = _align(left, right, counts)
    found = {}
    for k, horizon in enumerate(horizons):
        count = np.maximum(counts[k], 1)
        last = np.take_along_axis(order, count[:, None] - 1, axis=1)
        blank = np.where(counts[k] > 0, 1.0, np.nan)
        found[horizon] = {
            "ade": distance[:, :, :horizon].sum(axis=-1) / count * blank,
            "fde": np.take_along_axis(distance, last[None], axis=2)[..., 0] * blank,
            "dtw": total[k] / count * blank,
            "frechet": largest[k] * blank,
        }
    return found


def _check(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> None:
    if predicted.ndim != 4:
        raise ShapeError(f"predicted {predicted.shape}: expected (S, N, H, c)")
    if truth.shape != predicted.shape[1:] or valid.shape != truth.shape[:2]:
        raise ShapeError(
            f"predicted {predicted.shape}, truth {truth.shape}, valid {valid.shape} disagree"
        )
    if not np.isfinite(predicted[:, valid]).all():
        raise NonFiniteOutputError("a predicted trace holds NaN or infinity at a valid step")
    if not np.isfinite(truth[valid]).all():
        raise DataError("a true trace holds NaN or infinity at a valid step")


def _align(
    left: np.ndarray, right: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the least sum and the least largest distance of monotone alignments.

    All pairs of one diagonal (i + j the same) are worked out at once. The alignment of the first
    c steps is a part of that of more steps, so that one pass serves all horizons.

    Args:
        left: (S, N, K, c); right: (N, K, c).
        counts: (Q, N) first steps that are aligned; the result is (Q, S, N), undefined for 0.
    """
    samples, points, steps, _ = left.shape
    result = np.zeros((2, len(counts), samples, points))
    # sums and largest ones of the two diagonals before, by i + 1; nothing lies before i = 0
    before = np.full((2, 2, samples, points, steps + 1), np.inf)
    for diagonal in range(2 * steps - 1):
        i = np.arange(max(0, diagonal - steps + 1), min(diagonal, steps - 1) + 1)
        cost = np.linalg.norm(left[:, :, i] - right[:, diagonal - i], axis=-1)
        one, two = before  # i + 1 of one is (i, j - 1), i of one is (i - 1, j), i of two both - 1
        least = np.minimum(np.minimum(one[..., i + 1], one[..., i]), two[..., i])
        if diagonal == 0:
            least = np.zeros_like(least)
        here = np.full_like(one, np.inf)
        here[0][..., i + 1] = cost + least[0]
        here[1][..., i + 1] = np.maximum(cost, least[1])
        if diagonal % 2 == 0:  # it crosses the corner of the first diagonal / 2 + 1 steps
            ends, rows = np.nonzero(counts == diagonal // 2 + 1)
            result[:, ends, :, rows] = here[:, :, rows, diagonal // 2 + 1].transpose(2, 0, 1)
        before = np.stack([here, one])
    return result[0], result[1]


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
