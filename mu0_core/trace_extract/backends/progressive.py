# SPDX-License-Identifier: Apache-2.0
"""Progressive tracking with a tracker that sees a whole clip: points are added where none is left.

Keypoints are proposed for every entity in every few frames, far more than can be tracked. A round
takes those of one frame that no present track covers, and follows them through the whole clip,
both ways. The frame with the most uncovered points comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from mu0_core.errors import ConfigError, DataError
from mu0_core.trace_extract.records import Keypoints, Tracks


@dataclass(frozen=True, slots=True)
class ProgressSettings:
    """Which proposals are tracked.

    Attributes:
        points_per_entity: live points of one entity above which none is added (paper: 48);
            points of priors are not counted.
        spacing_px: distance to every live point that a new one needs, at 640 px of width.
        lonely_px: distance beyond which a new point may exceed its entity's limit, so that the
            whole picture stays covered.
        max_points: live points of one frame.
        rounds: at most; each costs a pass over the clip in both directions.
        min_new: uncovered points that are worth another round.
    """

    points_per_entity: int = 48
    spacing_px: float = 8.0
    lonely_px: float = 24.0
    max_points: int = 1500
    rounds: int = 8
    min_new: int = 12

    def __post_init__(self) -> None:
        if min(self.points_per_entity, self.max_points, self.rounds, self.min_new) < 1:
            raise ConfigError(
                f"points_per_entity {self.points_per_entity}, max_points {self.max_points}, "
                f"rounds {self.rounds} and min_new {self.min_new} must be positive"
            )
        if not 0 < self.spacing_px <= self.lonely_px:
            raise ConfigError(
                f"need 0 < spacing_px <= lonely_px, got {self.spacing_px}, {self.lonely_px}"
            )


def track_progressively(
    track: Callable[[Keypoints], Tracks],
    queries: Keypoints,
    width_px: int,
    settings: ProgressSettings,
) -> Tracks:
    """Return the tracks of those queries that were taken, in the order in which they were.

    Args:
        track: follows all points that it gets through the whole clip.
        queries: proposals.
        width_px: of the images.
        settings: which are taken.

    Raises:
        DataError: there are no proposals, or none was seen anywhere.
    """
    found: list[Tracks] = []
    untried = np.ones(len(queries.frame), bool)
    clusters, counted = np.zeros(0, np.int32), np.zeros(0, bool)
    for _ in range(settings.rounds):
        best = np.zeros(0, int)
        for frame in np.unique(queries.frame[untried]):
            rows = np.flatnonzero(untried & (queries.frame == frame))
            live = np.concatenate([t.visible[:, frame] for t in found] or [np.zeros(0, bool)])
            pixels = np.concatenate([t.uv_px[:, frame] for t in found] or [np.zeros((0, 2))])
            crowd = Crowd(pixels[live], clusters[live], counted[live])
            new = uncovered(select(queries, rows), crowd, width_px, settings)
            best = rows[new] if len(new) > len(best) else best
        if not len(best) or (found and len(best) < settings.min_new):
            break
        untried[best] = False
        chosen = select(queries, best)
        found.append(track(chosen))
        clusters = np.concatenate([clusters, chosen.cluster_ids])
        counted = np.concatenate([counted, ~chosen.from_prior])
    if not any(t.visible.any() for t in found):
        raise DataError(f"none of {len(queries.frame)} keypoints has a clear depth")
    return Tracks(
        *(np.concatenate([getattr(t, field.name) for t in found]) for field in fields(Tracks))
    )


@dataclass(frozen=True, slots=True)
class Crowd:
    """The live points of a frame: uv_px (N, 2), cluster_ids (N,), is_counted (N,) bool."""

    uv_px: np.ndarray
    cluster_ids: np.ndarray
    is_counted: np.ndarray


def uncovered(
    queries: Keypoints, crowd: Crowd, width_px: int, settings: ProgressSettings
) -> np.ndarray:
    """Return the indices of queries of one frame that its live points do not cover."""
    spacing, lonely = (d * width_px / 640 for d in (settings.spacing_px, settings.lonely_px))
    live = len(crowd.uv_px)
    taken = np.empty((live + len(queries.uv_px), 2), np.float32)
    taken[:live] = crowd.uv_px
    ids, numbers = np.unique(crowd.cluster_ids[crowd.is_counted], return_counts=True)
    counts = dict(zip(ids.tolist(), numbers.tolist()))
    chosen: list[int] = []
    for k, cluster in enumerate(queries.cluster_ids.tolist()):
        if live >= settings.max_points:
            break
        is_counted = not queries.from_prior[k]
        is_full = counts.get(cluster, 0) >= settings.points_per_entity
        needed = lonely if is_counted and is_full else spacing
        if (np.abs(taken[:live] - queries.uv_px[k]) < needed).all(axis=1).any():
            continue
        taken[live] = queries.uv_px[k]
        chosen.append(k)
        live += 1
        counts[cluster] = counts.get(cluster, 0) + is_counted
    return np.array(chosen, int)


def select(queries: Keypoints, rows: np.ndarray) -> Keypoints:
    """Return the queries at ``rows``."""
    return replace(
        queries,
        frame=queries.frame[rows],
        uv_px=queries.uv_px[rows],
        cluster_ids=queries.cluster_ids[rows],
        from_prior=queries.from_prior[rows],
    )
