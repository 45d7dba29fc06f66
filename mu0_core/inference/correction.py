# SPDX-License-Identifier: Apache-2.0
"""What a model's samples get wrong alike, estimated from other episodes. numpy only.

No rule that chooses among samples can mend an error that they share. Its part that repeats is
learned: kernel ridge regression of what the samples' mean lacked on where the point is, how the
mean moves and how much the samples differ. Far from everything it was taught it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mu0_core.errors import DataError, ShapeError

WAYS = 6  # principal ways of moving that a mean is described by
OUTPUTS = 8  # principal errors that are corrected
MOST_SUPPORT = 1500  # points that are kept
WIDTH = 0.1  # of the kernel exp(-WIDTH * squared distance), features in standard deviations
RIDGE = 3.0
_SPREAD_FLOOR_M = 1e-3
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class PathCorrection:
    """A correction of paths of H steps in metres, from M support points.

    Attributes:
        ways: (W, 3 H) directions that displacements are described in.
        center, scale: (F,) of the features.
        support: (M, F) scaled features of the points it was taught.
        weights: (M, O) of the kernel; outputs: (O, 3 H) what they weigh.
    """

    ways: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    support: np.ndarray
    weights: np.ndarray
    outputs: np.ndarray

    def __post_init__(self) -> None:
        ways, features, most = len(self.ways), len(self.center), len(self.support)
        width = self.ways.shape[-1] if self.ways.ndim == 2 else -1
        shapes = {
            "ways": (ways, width), "center": (features,), "scale": (features,),
            "support": (most, features), "weights": (most, len(self.outputs)),
            "outputs": (len(self.outputs), width),
        }  # fmt: skip
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise DataError(f"correction: {name} {array.shape}, expected {shape} and finite")
        if width % 3 or features != ways + 4 or not (self.scale > 0).all():
            raise DataError("no correction: its parts do not fit together")

    @property
    def steps(self) -> int:
        """Return H."""
        return self.ways.shape[1] // 3

    def __call__(self, paths_m: np.ndarray, query_m: np.ndarray) -> np.ndarray:
        """Return what is to be added (N, H, 3) to the mean of samples.

        Args:
            paths_m: (S >= 2, N, H, 3) at steps 1..H.
            query_m: (N, 3) where the points are now.

        Raises:
            ShapeError: another number of steps.
        """
        if paths_m.shape[2] != self.steps:
            raise ShapeError(f"paths of {paths_m.shape[2]} steps, corrected are {self.steps}")
        features = (_features(paths_m, query_m, self.ways) - self.center) / self.scale
        found = _kernel(features, self.support) @ self.weights @ self.outputs
        return found.reshape(-1, self.steps, 3)

    def to_json(self) -> dict[str, object]:
        """Return what `from_json` reads."""
        return {name: np.round(getattr(self, name), _DIGITS).tolist() for name in _PARTS}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> PathCorrection:
        """Read what `to_json` returned; raises `DataError` when it is something else."""
        try:
            return cls(**{name: np.array(values[name], np.float64) for name in _PARTS})
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"no correction: {error!r}") from error


_PARTS = ("ways", "center", "scale", "support", "weights", "outputs")


def fit_correction(
    paths_m: np.ndarray,
    query_m: np.ndarray,
    truth_m: np.ndarray,
    valid: np.ndarray,
    *,
    seed: int = 0,
) -> PathCorrection:
    """Learn a correction.

    Args:
        paths_m: (S >= 2, N, H, 3) samples.
        query_m: (N, 3).
        truth_m: (N, H, 3); a step that is not valid counts as right.
        valid: (N, H) bool.
        seed: of the points that are kept when there are many.

    Raises:
        DataError: no point has a valid step.
    """
    kept = np.flatnonzero(valid.any(axis=1))
    if not len(kept):
        raise DataError("no point with valid steps to learn a correction from")
    order = np.random.default_rng([seed, 7]).permutation(len(kept))[:MOST_SUPPORT]
    kept = kept[np.sort(order)]
    paths_m, query_m = paths_m[:, kept], query_m[kept]
    mean = paths_m.mean(axis=0)
    lacking = np.where(valid[kept][..., None], truth_m[kept] - mean, 0).reshape(len(kept), -1)
    ways = _principal((mean - query_m[:, None]).reshape(len(kept), -1), WAYS)
    outputs = _principal(lacking, OUTPUTS)
    features = _features(paths_m, query_m, ways)
    center, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    support = (features - center) / scale
    kernel = _kernel(support, support) + RIDGE * np.eye(len(kept))
    return PathCorrection(
        ways, center, scale, support, np.linalg.solve(kernel, lacking @ outputs.T), outputs
    )


def _features(paths_m: np.ndarray, query_m: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Return (N, W + 4): the mean's way, the point's place, the logarithm of the spread."""
    mean = paths_m.mean(axis=0)
    moved = (mean - query_m[:, None]).reshape(len(query_m), -1) @ ways.T
    spread = np.sqrt(paths_m.var(axis=0).mean(axis=(-2, -1)))
    return np.concatenate([moved, query_m, np.log(spread + _SPREAD_FLOOR_M)[:, None]], axis=1)


def _principal(rows: np.ndarray, count: int) -> np.ndarray:
    return np.linalg.svd(rows, full_matrices=False)[2][:count]


def _kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    squared = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    return np.exp(-WIDTH * np.maximum(squared, 0))
