# SPDX-License-Identifier: Apache-2.0
"""The arm's body as capsules on its links, and boxes that stand around it. Data only.

It is the part ``collision`` of a robot description. `scripts/fit_capsules.py` writes it from the
URDF's shapes: every shape lies inside the capsules of its link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.geometry.box import Box, boxes_of

MARGIN_M, _LARGEST_MARGIN_M = 0.01, 0.1


@dataclass(frozen=True, slots=True)
class CapsuleModel:
    """Capsules in the frames of links, and what is checked against what.

    Attributes:
        links: (C) link of each capsule.
        segments_m: (C, 2, 3) ends in that link's frame.
        radii_m: (C,).
        never_checked: pairs of links that always or never touch.
        tool: links that are there to touch things: not checked against points of a camera.
        margin_m: least clearance that a motion must keep.
        boxes: obstacles.
    """

    links: tuple[str, ...]
    segments_m: np.ndarray
    radii_m: np.ndarray
    never_checked: frozenset[frozenset[str]] = frozenset()
    tool: tuple[str, ...] = ()
    margin_m: float = MARGIN_M
    boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.links)
        if self.segments_m.shape != (count, 2, 3) or self.radii_m.shape != (count,):
            raise ConfigError("a capsule needs seven numbers: two ends and a radius")
        if not np.all(np.isfinite(self.segments_m)) or not np.all(self.radii_m > 0):
            raise ConfigError("capsules must be finite and their radii positive")
        if not 0 <= self.margin_m <= _LARGEST_MARGIN_M:
            raise ConfigError(f"margin_m {self.margin_m}: allowed 0 to {_LARGEST_MARGIN_M}")

    def pairs(self) -> np.ndarray:
        """Return the pairs (P, 2) of capsules to check, by index."""
        return np.array(
            [
                (i, j)
                for i, first in enumerate(self.links)
                for j, second in enumerate(self.links)
                if i < j
                and first != second
                and frozenset((first, second)) not in self.never_checked
            ],
            dtype=int,
        ).reshape(-1, 2)


def capsule_model(data: Mapping[str, Any], links: Sequence[str]) -> CapsuleModel:
    """Return the model of the part ``collision`` of a robot description.

    Args:
        data: ``capsules`` (link -> rows of seven numbers), ``never_checked`` (pairs of links),
            and if wanted ``tool``, ``margin_m`` and ``boxes``.
        links: that the arm has between base and tip.

    Raises:
        ConfigError: a key or a link is unknown, or numbers are wrong.
    """
    known = {"capsules", "never_checked", "tool", "margin_m", "boxes"}
    if unknown := sorted(set(data) - known):
        raise ConfigError(f"collision: unknown keys {unknown}; known are {sorted(known)}")
    capsules = data.get("capsules") or {}
    rows = [(link, row) for link, rows in capsules.items() for row in rows]
    never = [frozenset(pair) for pair in data.get("never_checked", ())]
    tool = tuple(data.get("tool", ()))
    named = {link for link, _ in rows} | set(tool) | {link for pair in never for link in pair}
    if strange := sorted(named - set(links)):
        raise ConfigError(f"collision: links {strange} are not on the arm; it has {list(links)}")
    if any(len(row) != 7 for _, row in rows):
        raise ConfigError("a capsule needs seven numbers: two ends and a radius")
    numbers = np.array([row for _, row in rows], dtype=float).reshape(-1, 7)
    return CapsuleModel(
        tuple(link for link, _ in rows),
        numbers[:, :6].reshape(-1, 2, 3),
        numbers[:, 6],
        frozenset(never),
        tool,
        float(data.get("margin_m", MARGIN_M)),
        boxes_of(data.get("boxes") or ()),
    )
