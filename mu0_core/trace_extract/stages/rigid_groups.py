# SPDX-License-Identifier: Apache-2.0
"""Entities split into what moves as one: points whose distances to each other stay the same.

Patch features tell a robot arm from a table, but not its links or a cube from the hand that holds
it. The rigidity loss needs to know: it asks points of one entity to keep their distances.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.records import Drops, Tracks


@dataclass(frozen=True, slots=True)
class RigidSettings:
    """When points move as one.

    Attributes:
        enabled: otherwise entities stay as the features have them (paper).
        max_change_m: mean change of distance between the points of a group. Of 0.6, 1, 1.5 and
            2 cm the last one kept most pairs of one body together and mixed no more bodies.
        min_members: a point that moves with fewer others than this makes is left out: it is more
            often a tracking failure than an object.
        moves_m: way beyond which a point counts as moving here.
        min_shared_frames: frames that two points must share to be compared.
        max_frames: frames that are compared, spread over the clip.
    """

    enabled: bool = True
    max_change_m: float = 0.020
    min_members: int = 3
    moves_m: float = 0.03
    min_shared_frames: int = 5
    max_frames: int = 48

    def __post_init__(self) -> None:
        if self.max_change_m <= 0 or self.min_shared_frames < 2 or self.max_frames < 2:
            raise ConfigError(
                f"max_change_m {self.max_change_m} must be positive, min_shared_frames "
                f"{self.min_shared_frames} and max_frames {self.max_frames} at least 2"
            )
        if self.min_members < 1 or self.moves_m <= 0:
            raise ConfigError(
                f"min_members {self.min_members} and moves_m {self.moves_m} must be positive"
            )


def split_rigid(tracks: Tracks, settings: RigidSettings) -> Tracks:
    """Return the tracks with new ``cluster_ids``, counted from 0; groups never join entities."""
    if not settings.enabled:
        return tracks
    groups = np.zeros(len(tracks.cluster_ids), np.int32)
    count = 0
    for entity in np.unique(tracks.cluster_ids):
        members = np.flatnonzero(tracks.cluster_ids == entity)
        groups[members] = count + _groups(tracks, members, settings)
        count = int(groups.max()) + 1
    return replace(tracks, cluster_ids=groups)


def leave_out_loners(tracks: Tracks, settings: RigidSettings) -> tuple[Tracks, Drops]:
    """Return the tracks without those that move in a group of too few; count them."""
    if not settings.enabled or not len(tracks.cluster_ids):
        return tracks, Drops()
    seen = np.where(tracks.visible[..., None], tracks.world_m, np.nan)
    way = np.linalg.norm(np.nanmax(seen, axis=1) - np.nanmin(seen, axis=1), axis=1)
    members = np.bincount(tracks.cluster_ids)[tracks.cluster_ids]
    lonely = (way > settings.moves_m) & (members < settings.min_members)
    kept = Tracks(*(getattr(tracks, field.name)[~lonely] for field in fields(Tracks)))
    return kept, Drops().plus("tracks that move like no other", int(lonely.sum()))


def _groups(tracks: Tracks, members: np.ndarray, settings: RigidSettings) -> np.ndarray:
    """Return the group (M,) of each member of one entity, counted from 0."""
    if len(members) < 2:
        return np.zeros(len(members), int)
    change = distance_change(tracks.world_m[members], settings)
    tree = linkage(squareform(change, checks=False), "average")
    return fcluster(tree, 0.999 * settings.max_change_m, "distance") - 1


def distance_change(world_m: np.ndarray, settings: RigidSettings) -> np.ndarray:
    """Return (M, M) how much the distance of each pair changes: its standard deviation in metres.

    Pairs that share too few frames get the limit itself: what they have in common with others
    decides whether they are joined.

    Args:
        world_m: (M, T, 3); NaN where not seen.
        settings: how.
    """
    frames = np.unique(
        np.linspace(0, world_m.shape[1] - 1, settings.max_frames).round().astype(int)
    )
    points = world_m[:, frames].astype(float)
    count = np.zeros((len(points),) * 2)
    total, squares = np.zeros_like(count), np.zeros_like(count)
    for k in range(len(frames)):
        distance = np.linalg.norm(points[:, None, k] - points[None, :, k], axis=-1)
        seen = np.isfinite(distance)
        distance = np.where(seen, distance, 0.0)
        count += seen
        total += distance
        squares += distance**2
    mean = total / np.maximum(count, 1)
    spread = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0.0))
    spread = np.where(count >= settings.min_shared_frames, spread, settings.max_change_m)
    np.fill_diagonal(spread, 0.0)
    return spread
