# SPDX-License-Identifier: Apache-2.0
"""What the spread of a model's samples means, measured once: ``calibration.json`` beside it.

The distance of the truth from the chosen trace, divided by the spread of the samples, has on
other episodes of the same kind about the quantiles that it had on these (split conformal
prediction). So a factor for each step turns a spread into the radius of a ball that holds the
truth with a wanted probability. What is promised holds for points like those of the calibration.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.stats import chi

from mu0_core.atomic_file import replace_file
from mu0_core.errors import DataError, ShapeError
from mu0_core.inference.correction import PathCorrection
from mu0_core.inference.selection import RULES, LearnedSelection

CALIBRATION_FILE = "calibration.json"
VERSION = 1
LEVELS = (0.5, 0.8, 0.9, 0.95)
SIGMA_LEVEL = 0.9  # the 1-sigma of a calibrated forecast is that of a Gaussian with this ball


@dataclass(frozen=True)
class Calibration:
    """Factors for H steps and L probabilities.

    Attributes:
        rule: how one trace is chosen from the samples, see `selection`.
        floor_m: added to every spread: no sample is exact.
        factors: (L, H) radius of the ball divided by spread plus floor, for `LEVELS`.
        samples: S that the spread was measured with.
        weights_sha256: of the weights that were calibrated.
        data_fingerprint: of the episodes; episodes: how many; seed: that chose them.
        learned: of the rule ``learned``, correction: of ``corrected``, or None.
    """

    rule: str
    floor_m: float
    factors: tuple[tuple[float, ...], ...]
    samples: int
    weights_sha256: str
    data_fingerprint: str
    episodes: int
    seed: int
    learned: LearnedSelection | None = None
    correction: PathCorrection | None = None

    def __post_init__(self) -> None:
        factors = np.array([list(row) for row in self.factors], dtype=object)
        if factors.ndim != 2 or len(factors) != len(LEVELS) or not factors.shape[1]:
            raise DataError(f"a calibration has factors for {len(LEVELS)} levels and some steps")
        numbers = factors.astype(float)
        if not np.isfinite(numbers).all() or (numbers < 0).any():
            raise DataError("the factors of a calibration must be finite and not negative")
        if (np.diff(numbers, axis=0) < 0).any():
            raise DataError("the factors of a calibration must rise with the level")
        given = (self.learned is not None, self.correction is not None)
        if self.rule not in RULES or given != (self.rule == "learned", self.rule == "corrected"):
            raise DataError(
                f"rule {self.rule!r} of a calibration: expected one of {RULES}, with what it needs"
            )
        if self.correction is not None and self.correction.steps != self.steps:
            raise DataError(f"a correction of {self.correction.steps} steps, not {self.steps}")
        if not 0 <= self.floor_m < np.inf or self.samples < 2:
            raise DataError(f"floor_m {self.floor_m}, samples {self.samples}: not a calibration")

    @property
    def steps(self) -> int:
        """Return H."""
        return len(self.factors[0])

    def radius_m(self, spread_m: np.ndarray, level: float) -> np.ndarray:
        """Return the radius (N, H) of the ball that holds the truth with probability ``level``.

        Args:
            spread_m: (N, H) of `sample_spread` at steps 1..H.
            level: one of `LEVELS`.

        Raises:
            ShapeError: another number of steps, or another level.
        """
        if level not in LEVELS:
            raise ShapeError(f"level {level}: expected one of {LEVELS}")
        if spread_m.shape[-1] != self.steps:
            raise ShapeError(f"spread of {spread_m.shape[-1]} steps, calibrated are {self.steps}")
        return np.asarray(self.factors[LEVELS.index(level)]) * (spread_m + self.floor_m)

    def sigma_m(self, spread_m: np.ndarray) -> np.ndarray:
        """Return the isotropic 1-sigma (N, H) of a Gaussian with the calibrated 90 % ball."""
        return self.radius_m(spread_m, SIGMA_LEVEL) / chi.ppf(SIGMA_LEVEL, 3)

    def save(self, folder: Path) -> Path:
        """Write it beside the weights in ``folder``; returns the path."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("learned", "correction"):
            values[name] = None if values[name] is None else values[name].to_json()
        text = json.dumps({"version": VERSION, "levels": LEVELS, **values}) + "\n"
        path = folder / CALIBRATION_FILE
        replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return path

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what `save` wrote.

        Raises:
            DataError: it is damaged, or of another version.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            version, levels = values.pop("version"), tuple(values.pop("levels"))
            if version != VERSION or levels != LEVELS:
                raise DataError(
                    f"{path}: version {version} with levels {levels}, this program reads version "
                    f"{VERSION} with {LEVELS}; calibrate again"
                )
            learned, correction = values.pop("learned"), values.pop("correction")
            rows = tuple(tuple(float(x) for x in row) for row in values.pop("factors"))
            return cls(
                factors=rows,
                learned=None if learned is None else LearnedSelection.from_json(learned),
                correction=None if correction is None else PathCorrection.from_json(correction),
                **values,
            )
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: no calibration ({error!r})") from error


def sample_spread(paths_m: np.ndarray) -> np.ndarray:
    """Return the isotropic 1-sigma (N, H) over samples (S >= 2, N, H, 3), not biased by S."""
    if paths_m.ndim != 4 or len(paths_m) < 2:
        raise ShapeError(f"samples {paths_m.shape}: a spread needs (S >= 2, N, H, 3)")
    return np.sqrt(paths_m.var(axis=0, ddof=1).mean(axis=-1))


def conformal_factors(scores: np.ndarray, levels: Sequence[float] = LEVELS) -> np.ndarray:
    """Return (L, H): the quantiles of scores (N, H), with the correction for few of them.

    NaN does not count; a step without any takes the factors of the last one before it that has.

    Raises:
        DataError: no step has a score.
    """
    known = ~np.isnan(scores)
    counts = known.sum(axis=0)
    if not counts.any():
        raise DataError("no valid step to calibrate with")
    factors = np.full((len(levels), scores.shape[1]), np.nan)
    for h in np.flatnonzero(counts):
        column = np.sort(scores[known[:, h], h])
        for k, level in enumerate(levels):
            rank = int(np.ceil((len(column) + 1) * level))
            factors[k, h] = column[min(rank, len(column)) - 1]
    with_scores = np.where(counts > 0, np.arange(scores.shape[1]), -1)
    last = np.maximum.accumulate(with_scores)
    return factors[:, np.where(last < 0, np.flatnonzero(counts)[0], last)]
