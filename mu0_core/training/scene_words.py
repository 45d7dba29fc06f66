# SPDX-License-Identifier: Apache-2.0
"""Which word names what an image cell shows, from the simulator's own truth.

The connector is fitted to these words, so the language model finds a red cube where it would read
"red cube".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mu0_core.simulation.layout import CUBE_COLOURS, Layout

BACKGROUND = "table"
WORDS = (*(f"{colour} cube" for colour in CUBE_COLOURS), "bowl", "plate", "button", "robot hand",
         BACKGROUND)  # fmt: skip

CellWords = dict[tuple[int, int], list[str]]


def word_of_body(name: str, layout: Layout) -> str:
    """Return the word for a body of the scene; whatever has no name of its own is table."""
    if name.startswith("cube"):
        return f"{layout.colours['abc'.index(name[-1])]} cube"
    if name.startswith("fr3"):
        return "robot hand"
    if name.startswith("button"):
        return "button"
    return name if name in ("bowl", "plate") else BACKGROUND


def words_in_cells(uv: np.ndarray, words: Sequence[str], side: int) -> CellWords:
    """Return {(row, column): words} of points uv (N, 2) in [-1, 1] on a side x side grid."""
    cells: CellWords = {}
    column, row = np.minimum(side - 1, (uv + 1) / 2 * side).astype(int).T
    for key, word in zip(zip(row.tolist(), column.tolist()), words, strict=True):
        cells.setdefault(key, []).append(word)
    return cells
