# SPDX-License-Identifier: Apache-2.0
"""How well the done head tells where a trace ends (μ0 paper, evaluation)."""

from __future__ import annotations

import numpy as np

from mu0_core.errors import ShapeError


def done_errors(
    probability: np.ndarray, valid: np.ndarray, real: np.ndarray, threshold: float = 0.5
) -> dict[str, float]:
    """Return accuracy per step, error of the end step, share of non-monotone targets.

    The end step is the first one that is not valid, H if all are. Its error counts only points
    whose target is monotone, that is, never valid again after the end. NaN if nothing counts.

    Args:
        probability: (..., N, H) that the step is still valid.
        valid: (..., N, H) bool target.
        real: (..., N) bool, false for padding.
        threshold: probability from which a step is predicted valid.

    Raises:
        ShapeError: the shapes disagree.
    """
    if real.shape != valid.shape[:-1]:
        raise ShapeError(f"valid {valid.shape} and real {real.shape} disagree")
    found = done_by_point(probability, valid, threshold)
    return {name: _mean(values[real]) for name, values in found.items()}


def done_by_point(
    probability: np.ndarray, valid: np.ndarray, threshold: float = 0.5
) -> dict[str, np.ndarray]:
    """Return what `done_errors` averages, (..., N); NaN where a point does not count.

    Raises:
        ShapeError: the shapes disagree.
    """
    if probability.shape != valid.shape:
        raise ShapeError(f"probability {probability.shape}, valid {valid.shape} disagree")
    predicted, target = probability >= threshold, valid.astype(bool)
    monotone = np.all(target[..., 1:] <= target[..., :-1], axis=-1)
    wrong = np.abs(end_steps(predicted) - end_steps(target))
    return {
        "done_acc": (predicted == target).mean(axis=-1),
        "done_end_step_mae": np.where(monotone, wrong, np.nan),
        "done_nonmono_frac": (~monotone).astype(float),
    }


def end_steps(valid: np.ndarray) -> np.ndarray:
    """Return (...,) the first step of (..., H) that is not valid, H if all are."""
    return np.where(valid.all(axis=-1), valid.shape[-1], np.argmin(valid, axis=-1))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
