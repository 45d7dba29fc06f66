# SPDX-License-Identifier: Apache-2.0
"""One trace per point from several samples: chosen, or fused with weights. numpy only.

Every rule returns weights (S, N) that sum to 1 over the samples, so that it applies to whatever
the samples are made of: control points, steps, logits. Rules look at the samples alone; `learned`
was told on other episodes which of them tend to be right (`LearnedSelection`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from mu0_core.errors import ConfigError, DataError, ShapeError

RULES = ("first", "central", "point_central", "mean", "median", "mode", "learned", "corrected")
DEFAULT_RULE = "central"
_MEDIAN_ROUNDS = 40
_NEARLY_NONE = 1e-12
_BANDWIDTH = 0.5  # of the median distance between samples
FEATURES = (
    "to_mean", "to_others", "to_nearest", "to_scene", "length", "end", "bend", "to_mean_squared",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LearnedSelection:
    """A linear estimate of a sample's error from `sample_features`, in the spread of its point.

    Attributes:
        weights: one per feature.
        sharpness: samples are fused with exp(-sharpness * estimate); 0 = their mean.
    """

    weights: tuple[float, ...]
    sharpness: float

    def __post_init__(self) -> None:
        if len(self.weights) != len(FEATURES) or not np.isfinite(self.weights).all():
            raise DataError(f"a learned selection has {len(FEATURES)} finite weights")
        if not 0 <= self.sharpness < np.inf:
            raise DataError(f"sharpness {self.sharpness} must not be negative")

    def to_json(self) -> dict[str, object]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> LearnedSelection:
        """Read what `to_json` returned; raises `DataError` when it is something else."""
        try:
            return cls(tuple(float(w) for w in values["weights"]), float(values["sharpness"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"no learned selection: {error!r}") from error


def check_rule(rule: str) -> None:
    """Refuse an unknown rule with a `ConfigError` that lists the known ones."""
    if rule not in RULES:
        raise ConfigError(f"selection {rule!r}: expected one of {', '.join(RULES)}")


def selection_weights(
    rule: str, paths: np.ndarray, learned: LearnedSelection | None = None
) -> np.ndarray:
    """Return the weights (S, N) of samples, for each point.

    ``first`` is the first sample; ``central`` the one nearest to all others over all points;
    ``point_central`` that of each point; ``mean`` their average; ``median`` the geometric median
    of whole paths (Weiszfeld); ``mode`` the densest place: samples near the densest one;
    ``learned`` those whose error is estimated to be small; ``corrected`` their average, to which
    the caller adds a `correction.PathCorrection`.

    Args:
        rule: one of `RULES`.
        paths: (S, N, K, c) the samples, best in metres.
        learned: for that rule.

    Raises:
        ConfigError: unknown rule, or ``learned`` without what was learned.
        ShapeError: not (S >= 1, N, K, c).
    """
    check_rule(rule)
    if paths.ndim != 4 or not len(paths):
        raise ShapeError(f"samples {paths.shape}: expected (S >= 1, N, K, c)")
    samples, points = paths.shape[:2]
    if rule == "learned":
        if learned is None:
            raise ConfigError("selection 'learned' needs a calibration that holds it")
        return _softly(learned, sample_features(paths)) if samples > 1 else np.ones((1, points))
    if rule == "first" or samples == 1:
        return _one_hot(np.zeros(points, int), samples)
    if rule in ("mean", "corrected"):
        return np.full((samples, points), 1 / samples)
    if rule == "median":
        return _median_weights(paths)
    if rule == "central":
        return _one_hot(np.full(points, most_central(paths)), samples)
    apart = path_distances(paths)
    if rule == "point_central":
        return _one_hot(apart.sum(axis=0).argmin(axis=0), samples)
    return _mode_weights(apart)


def fuse(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return (N, ...) the weighted sum of (S, N, ...) values."""
    return np.einsum("sn,sn...->n...", weights, values)


def most_central(paths: np.ndarray) -> int:
    """Return the sample (of S) that is nearest to all others over all points."""
    flat = paths.reshape(len(paths), -1)
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    return int(np.argmin(distance.sum(axis=1)))


def path_distances(paths: np.ndarray) -> np.ndarray:
    """Return (S, S, N): mean distance over the steps between each two samples of a point."""
    rows = [np.linalg.norm(paths - one[None], axis=-1).mean(axis=-1) for one in paths]
    return np.stack(rows)


def sample_features(paths: np.ndarray) -> np.ndarray:
    """Return (S, N, F): how each of S >= 2 samples differs from the others of its point.

    Lengths are divided by the mean distance between two samples of the point. In the order of
    `FEATURES`: distance to the samples' mean, to all others, to the nearest other one; distance of
    the whole scene to its mean; and how much longer, farther and more bent it is than the average.
    """
    count = len(paths)
    apart = path_distances(paths)
    scale = apart.sum(axis=(0, 1)) / (count * (count - 1)) + _NEARLY_NONE
    to_mean = np.linalg.norm(paths - paths.mean(axis=0), axis=-1).mean(axis=-1)
    others = apart.sum(axis=0) / (count - 1)
    nearest = (apart + np.diag(np.full(count, np.inf))[..., None]).min(axis=0)
    scene = to_mean.sum(axis=1, keepdims=True) / scale.sum() * np.ones_like(to_mean)
    steps = np.diff(paths, axis=2)
    length = np.linalg.norm(steps, axis=-1).sum(axis=-1)
    end = np.linalg.norm(paths[:, :, -1] - paths[:, :, 0], axis=-1)
    bend = np.linalg.norm(np.diff(steps, axis=2), axis=-1).sum(axis=-1)
    more = [(value - value.mean(axis=0)) / scale for value in (length, end, bend)]
    near = to_mean / scale
    return np.stack([near, others / scale, nearest / scale, scene, *more, near**2], axis=-1)


def fit_selection(
    features: np.ndarray, errors: np.ndarray, scale: np.ndarray, *, ridge: float = 1.0
) -> np.ndarray:
    """Return the weights (F,) of a ridge regression of errors on features.

    Only differences between the samples of a point are explained: those decide which is taken.

    Args:
        features: (S, N, F) of `sample_features`.
        errors: (S, N) of each sample; NaN points are left out.
        scale: (N,) that errors are divided by, the mean distance between two samples.
        ridge: weight of the penalty, in observations.
    """
    kept = ~np.isnan(errors).any(axis=0) & (scale > _NEARLY_NONE)
    if not kept.any():
        raise DataError("no point with valid steps to learn a selection from")
    x = features[:, kept] - features[:, kept].mean(axis=0)
    y = (errors[:, kept] - errors[:, kept].mean(axis=0)) / scale[kept]
    x, y = x.reshape(-1, x.shape[-1]), y.ravel()
    width = x.std(axis=0) + _NEARLY_NONE
    x = x / width
    return np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y) / width


def _softly(learned: LearnedSelection, features: np.ndarray) -> np.ndarray:
    estimate = features @ np.asarray(learned.weights)
    weights = np.exp(-learned.sharpness * (estimate - estimate.min(axis=0)))
    return weights / weights.sum(axis=0)


def _one_hot(chosen: np.ndarray, samples: int) -> np.ndarray:
    return (np.arange(samples)[:, None] == chosen).astype(float)


def _median_weights(paths: np.ndarray) -> np.ndarray:
    """Return the weights of the geometric median of whole paths, by Weiszfeld's iteration."""
    flat = paths.reshape(*paths.shape[:2], -1)
    weights = np.full(paths.shape[:2], 1 / len(paths))
    least = _NEARLY_NONE + 1e-6 * np.linalg.norm(flat - flat.mean(axis=0), axis=-1).mean(axis=0)
    for _ in range(_MEDIAN_ROUNDS):
        apart = np.linalg.norm(flat - np.einsum("sn,snk->nk", weights, flat), axis=-1)
        weights = 1 / np.maximum(apart, least)
        weights /= weights.sum(axis=0)
    return weights


def _mode_weights(apart: np.ndarray) -> np.ndarray:
    """Return the kernel around the densest sample of each point, of distances (S, S, N)."""
    count = len(apart)
    between = apart[np.triu_indices(count, 1)]
    width = _BANDWIDTH * np.median(between, axis=0) + _NEARLY_NONE
    kernel = np.exp(-0.5 * (apart / width) ** 2)
    densest = kernel.sum(axis=0).argmax(axis=0)
    weights = np.take_along_axis(kernel, densest[None, None], axis=0)[0]
    return weights / weights.sum(axis=0)
