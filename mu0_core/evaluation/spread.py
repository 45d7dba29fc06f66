# SPDX-License-Identifier: Apache-2.0
"""Whether the spread of the samples says how wrong a forecast is: coverage of the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import chi

from mu0_core.errors import DataError, ShapeError


def spread(samples: np.ndarray) -> np.ndarray:
    """Return the isotropic 1-sigma (N, H) over samples (S, N, H, c).

    Raises:
        ShapeError: fewer than two samples.
    """
    if samples.ndim != 4 or len(samples) < 2:
        raise ShapeError(f"samples {samples.shape}: spread needs (S >= 2, N, H, c)")
    return np.sqrt(samples.var(axis=0).mean(axis=-1))


def spread_coverage(
    samples: np.ndarray,
    truth: np.ndarray,
    valid: np.ndarray,
    sigmas: Sequence[float] = (1.0, 2.0, 3.0),
) -> dict[float, float]:
    """Return, per factor, the share of valid steps whose truth lies within that many sigma.

    Compare with `expected_coverage`: below it the forecast is too sure, above it too unsure. With
    few samples the spread is small by chance: even a perfect model then covers a little less.

    Args:
        samples: (S >= 2, N, H, c).
        truth: (N, H, c); ignored where not valid.
        valid: (N, H) bool.
        sigmas: factors.

    Raises:
        ShapeError: the shapes disagree, or fewer than two samples.
        DataError: no step is valid.
    """
    sigma = spread(samples)
    if truth.shape != samples.shape[1:] or valid.shape != sigma.shape:
        raise ShapeError(
            f"samples {samples.shape}, truth {truth.shape}, valid {valid.shape} disagree"
        )
    if not valid.any():
        raise DataError("no step is valid: nothing can be covered")
    distance = np.linalg.norm(truth - samples.mean(axis=0), axis=-1)[valid]
    return {factor: float((distance <= factor * sigma[valid]).mean()) for factor in sigmas}


def expected_coverage(factor: float, axes: int = 3) -> float:
    """Return the share within ``factor`` sigma of an isotropic Gaussian over ``axes`` axes."""
    return float(chi.cdf(factor, axes))
