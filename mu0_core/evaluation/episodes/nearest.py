# SPDX-License-Identifier: Apache-2.0
"""Baseline: the displacement of the training point that is nearest to a query point.

Nearest in (u, v, z) among training points with the same sentence, among all where there are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from mu0_core.data.episode import EpisodeReader, Steps
from mu0_core.data.index import Opening
from mu0_core.data.sample import displacements
from mu0_core.data.sampling import SamplingSettings, draw_rows, eligible_rows
from mu0_core.errors import DataError
from mu0_core.evaluation.episodes.methods import Forecasts
from mu0_core.evaluation.episodes.scenes import Scene

NEAREST = "nearest training trace"
MOST_TRACES = 200_000  # about 80 MB
_DRAWN = SamplingSettings(n_min=16, n_max=16, n_ctrl=None)  # rows of a slot


@dataclass(frozen=True)
class NearestTrace:
    """The baseline over M traces.

    Attributes:
        query: (M, 3) u, v in [-1, 1], z in metres.
        way: (M, H, 3) displacements; the last one is held where the motion is over.
        rows: sentence -> indices of the traces that it describes.
        note: how many there are.
    """

    query: np.ndarray
    way: np.ndarray
    rows: dict[str, np.ndarray]
    note: str
    name: str = NEAREST
    sampled: bool = False

    @property
    def steps(self) -> int:
        """Return H."""
        return self.way.shape[1]

    def forecast(self, scene: Scene, samples: int) -> Forecasts:
        """Return copies of training traces."""
        rows = self.rows.get(scene.instruction)
        among = self.query if rows is None else self.query[rows]
        nearest = cKDTree(among).query(scene.query)[1]
        way = self.way[nearest if rows is None else rows[nearest]]
        return Forecasts((scene.query[:, None] + way)[None])


def collect_traces(
    directories: Sequence[Path],
    horizon: int,
    *,
    steps: Steps = Steps.ARC_LENGTH,
    seed: int = 0,
    most: int = MOST_TRACES,
) -> NearestTrace:
    """Read traces of training episodes in random order, until there are enough.

    Args:
        directories: of the episodes; broken ones are left out and counted.
        horizon: H.
        steps: which version of the paths.
        seed: of the order, and of the points of a slot.
        most: traces that are kept.

    Raises:
        DataError: there is none.
    """
    rng = np.random.default_rng(seed)
    opening = Opening(1, horizon, with_depth=False, steps=steps)
    points: list[np.ndarray] = []
    ways: list[np.ndarray] = []
    rows: dict[str, list[np.ndarray]] = {}
    count = read = broken = 0
    for k in rng.permutation(len(directories)):
        if count >= most:
            break
        try:
            found = list(_traces(opening.open(directories[k]), rng))
        except DataError:
            broken += 1
            continue
        read += 1
        for query, way, sentences in found:
            points.append(query)
            ways.append(way)
            here = np.arange(count, count + len(query))
            count += len(query)
            for sentence in sentences:
                rows.setdefault(sentence, []).append(here)
    if not count:
        raise DataError(
            f"none of {len(directories)} training episodes has a moving point; {broken} are broken"
        )
    note = f"{NEAREST}: {count} moving points of {read} of {len(directories)} training episodes"
    note += f", {broken} are broken" if broken else ""
    joined = {sentence: np.concatenate(parts) for sentence, parts in rows.items()}
    return NearestTrace(np.concatenate(points), np.concatenate(ways), joined, note)


def _traces(
    episode: EpisodeReader, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, set[str]]]:
    """Yield points, displacements and sentences of the usable slots of an episode."""
    for index in range(len(episode)):
        slot = episode.slot(index)
        rows = eligible_rows(slot, _DRAWN, *episode.image_size)
        rows = rows[slot.valid_future[rows, 1:].any(axis=1)]
        if not len(rows):
            continue
        rows = draw_rows(rows, _DRAWN, rng)
        query, future, _ = displacements(slot, rows, episode.image_size)
        valid = slot.valid_future[rows, 1:]
        last = np.maximum.accumulate(np.where(valid, np.arange(valid.shape[1]), -1), axis=1)
        held = np.take_along_axis(future, np.maximum(last, 0)[..., None], axis=1)
        way = np.where(last[..., None] >= 0, held, 0).astype(np.float32)
        sentences = {text for group in episode.captions.at(slot.frame) for text in group}
        yield query.astype(np.float32), way, sentences
