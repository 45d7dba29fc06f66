# SPDX-License-Identifier: Apache-2.0
"""The order in which people number files: ``frame_2`` before ``frame_10``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Return paths sorted by name with numbers compared as numbers; ties by the plain name."""
    return sorted(paths, key=lambda path: (_pieces(path.name), path.name))


def _pieces(name: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(piece), "") if piece.isdecimal() else (1, 0, piece.lower())
        for piece in re.split(r"(\d+)", name)
        if piece
    ]
