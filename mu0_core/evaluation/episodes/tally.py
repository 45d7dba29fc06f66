# SPDX-License-Identifier: Apache-2.0
"""Means over points with intervals over episodes.

Points of one episode err alike, so the episode is what is drawn again (bootstrap). A mean is a sum
over points divided by their number, so that sums and counts of each scene are all that is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ShapeError

LEVEL = 0.95

Key = tuple[Hashable, ...]


class Tally:
    """Sums and counts of named quantities, scene by scene."""

    def __init__(self) -> None:
        self._parts: dict[Key, list[np.ndarray]] = {}

    def add(self, key: Key, values: np.ndarray, owner: np.ndarray, scenes: int) -> None:
        """Add values (N,) of a block of ``scenes`` scenes; NaN does not count.

        Args:
            key: of the quantity.
            values: (N,) or (N, K), whose K values count alike.
            owner: (N,) scene of each, from 0.
            scenes: M.
        """
        values = values.reshape(len(values), -1)
        known = ~np.isnan(values)
        sums = np.bincount(owner, np.where(known, values, 0).sum(axis=1), scenes)
        self.add_sums(key, sums, np.bincount(owner, known.sum(axis=1), scenes))

    def add_sums(self, key: Key, sums: np.ndarray, counts: np.ndarray) -> None:
        """Add sums (M,) and counts (M,) of a block of scenes."""
        self._parts.setdefault(key, []).append(np.stack([sums, counts], axis=1).astype(float))

    def arrays(self) -> dict[Key, np.ndarray]:
        """Return key -> (M, 2) sum and count of every scene."""
        return {key: np.concatenate(parts) for key, parts in self._parts.items()}


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean, its 95 % interval, and how many values it is of; NaN if none."""

    value: float
    low: float
    high: float
    count: int


class Bootstrap:
    """Draws episodes again; the same draws for everything that is compared.

    Args:
        episodes: (M,) the episode of each scene.
        resamples: R.
        seed: of the draws.
    """

    def __init__(self, episodes: Sequence[Hashable], resamples: int, seed: int) -> None:
        number = {episode: k for k, episode in enumerate(dict.fromkeys(episodes))}
        self._owner = np.array([number[episode] for episode in episodes], int)
        self.episodes = len(number)
        rng = np.random.default_rng([seed, 95])
        share = np.full(self.episodes, 1 / max(1, self.episodes))
        self._weights = rng.multinomial(self.episodes, share, resamples).astype(float)

    def means(self, table: Mapping[Key, np.ndarray]) -> dict[Key, Mean]:
        """Return the mean of every quantity of `Tally.arrays`."""
        if not table:
            return {}
        sums, counts = self._by_episode(np.stack(list(table.values())))
        draws = _ratio(self._weights @ sums, self._weights @ counts)
        values, total = _ratio(sums.sum(axis=0), counts.sum(axis=0)), counts.sum(axis=0)
        low, high = _bounds(draws)
        return {
            key: Mean(float(values[k]), float(low[k]), float(high[k]), int(total[k]))
            for k, key in enumerate(table)
        }

    def relative(self, ours: np.ndarray, other: np.ndarray) -> Mean:
        """Return the relative difference of two means, (ours - other) / other, paired.

        Args:
            ours: (M, 2) sums and counts; other: alike, of the same scenes.
            other: see above.
        """
        return self._of([ours, other], lambda a, b: _ratio(a - b, b))

    def closed(self, first: np.ndarray, chosen: np.ndarray, best: np.ndarray) -> Mean:
        """Return the share of the gap between two means that a third closes, paired.

        Args:
            first: (M, 2) sums and counts of the larger error; chosen: of the one between; best:
                of the smaller one.
            chosen, best: see above.
        """
        return self._of([first, chosen, best], lambda a, b, c: _ratio(a - b, a - c))

    def _of(self, arrays: list[np.ndarray], function: Callable[..., np.ndarray]) -> Mean:
        """Return a function of some means."""
        sums, counts = self._by_episode(np.stack(arrays))
        draws = _ratio(self._weights @ sums, self._weights @ counts)
        value = function(*_ratio(sums.sum(axis=0), counts.sum(axis=0))[:, None])
        low, high = _bounds(function(*draws.T)[:, None])
        return Mean(float(value[0]), float(low[0]), float(high[0]), int(counts[:, 0].sum()))

    def _by_episode(self, stacked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return sums and counts (E, Q) of (Q, M, 2)."""
        if stacked.shape[1] != len(self._owner):
            raise ShapeError(f"{stacked.shape[1]} scenes, expected {len(self._owner)}")
        total = np.zeros((self.episodes, len(stacked), 2))
        np.add.at(total, self._owner, stacked.transpose(1, 0, 2))
        return total[..., 0], total[..., 1]


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below != 0, above / below, np.nan)


def _bounds(draws: np.ndarray) -> np.ndarray:
    """Return the two ends (2, Q) of the interval of (R, Q) draws."""
    share = (1 - LEVEL) / 2
    known = ~np.isnan(draws).all(axis=0)
    bounds = np.full((2, draws.shape[1]), np.nan)
    if known.any():
        bounds[:, known] = np.nanquantile(draws[:, known], [share, 1 - share], axis=0)
    return bounds
