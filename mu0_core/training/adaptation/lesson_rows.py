# SPDX-License-Identifier: Apache-2.0
"""What a model is asked to learn from one slot: paths that end with the motion, and what rests.

Three things that many episodes teach by their number have to be said when there are five. A path
whose point was lost on the way must not look like one that stopped there: such rows are left out,
short gaps are bridged. The last steps of a task (letting go, withdrawing) are shorter than the
spline fit asks for: they are held at their end up to that length. And what does not move must be
learned too: a robot asks about everything on the table, and a model that was always shown all of
it forecasts badly when it is shown moving points alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.data.episode import Slot
from mu0_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LessonSettings:
    """Which rows of a slot are learned.

    Attributes:
        moving: most rows that move, entities in turn.
        still: most rows that rest.
        complete: share of the motion that the path of a moving row must reach.
        min_steps: paths that end earlier are held there up to so many steps.
        clear_m: a thing of which a chosen point is so near to a moving one is not taken to rest.
    """

    moving: int = 12
    still: int = 20
    complete: float = 0.85
    min_steps: int = 10
    clear_m: float = 0.03

    def __post_init__(self) -> None:
        if self.moving < 1 or self.still < 0 or self.min_steps < 1 or self.clear_m <= 0:
            raise ConfigError(
                f"moving {self.moving} >= 1, still {self.still} >= 0, min_steps {self.min_steps} "
                f">= 1 and clear_m {self.clear_m} > 0 are needed"
            )
        if not 0 < self.complete <= 1:
            raise ConfigError(f"complete {self.complete}: expected above 0, at most 1")


@dataclass(frozen=True, slots=True)
class LessonRows:
    """Rows of one slot, every step of which is known.

    Attributes:
        future: (K, n + 1, 3) x px, y px, z m; column 0 is now.
        moves: (K,) bool.
        cluster_ids: (K,) rigid entity, -1 = none.
    """

    future: np.ndarray
    moves: np.ndarray
    cluster_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.moves)


def motion_steps(slot: Slot) -> int:
    """Return the steps until the last moving row of a slot is seen for the last time."""
    moving = slot.is_moving & slot.valid_history[:, 0] & slot.valid_future[:, 0]
    seen = np.flatnonzero(slot.valid_future[moving].any(axis=0))
    return int(seen[-1]) if len(seen) else 0


def moving_rows(slot: Slot, settings: LessonSettings, rng: np.random.Generator) -> LessonRows:
    """Return rows that move and are seen until nearly the end of the motion; maybe none."""
    steps = motion_steps(slot)
    seen = slot.valid_future
    last = np.where(seen.any(axis=1), seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1), 0)
    usable = slot.is_moving & seen[:, 0] & (last >= settings.complete * steps) & (last > 0)
    rows = in_turn(np.flatnonzero(usable), slot.cluster_ids, settings.moving, rng)
    future = _bridged(slot.future[rows], seen[rows], steps, settings.min_steps)
    return LessonRows(future, np.ones(len(rows), bool), slot.cluster_ids[rows])


def known_still_rows(
    slot: Slot, columns: int, settings: LessonSettings, rng: np.random.Generator
) -> LessonRows:
    """Return rows that the slot itself says do not move, for ``columns`` columns."""
    known = np.flatnonzero(~slot.is_moving & slot.valid_future[:, 0])
    rows = in_turn(known, slot.cluster_ids, settings.still, rng)
    return still_rows(slot.future[rows, 0], columns, slot.cluster_ids[rows])


def still_rows(anchors: np.ndarray, columns: int, cluster_ids: np.ndarray) -> LessonRows:
    """Return rows that stay at their anchors (K, 3) x px, y px, z m."""
    future = np.repeat(anchors[:, None], columns, axis=1)
    return LessonRows(future, np.zeros(len(anchors), bool), cluster_ids)


def joined(first: LessonRows, second: LessonRows) -> LessonRows:
    """Return the rows of both, which have equally many columns."""
    return LessonRows(
        np.concatenate([first.future, second.future]),
        np.concatenate([first.moves, second.moves]),
        np.concatenate([first.cluster_ids, second.cluster_ids]),
    )


def in_turn(
    rows: np.ndarray, cluster_ids: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return at most ``count`` of the rows, clusters in turn."""
    shuffled = rng.permutation(rows)
    seen: dict[int, int] = {}
    turn = []
    for row in shuffled:
        cluster = int(cluster_ids[row])
        turn.append(seen.get(cluster, 0))
        seen[cluster] = turn[-1] + 1
    return shuffled[np.argsort(turn, kind="stable")[:count]]


def _bridged(future: np.ndarray, seen: np.ndarray, steps: int, least: int) -> np.ndarray:
    """Return (K, max(steps, least) + 1, 3): gaps bridged by straight lines, the end held."""
    wanted = np.minimum(np.arange(max(steps, least) + 1), steps)
    result = np.empty((len(future), len(wanted), 3))
    for k, (path, known) in enumerate(zip(future, seen, strict=True)):
        columns = np.flatnonzero(known)
        for axis in range(3):
            result[k, :, axis] = np.interp(wanted, columns, path[columns, axis])
    return result
