# SPDX-License-Identifier: Apache-2.0
"""Instructions of an episode: which sentences describe a frame, and drawing one of them.

An entry covers an inclusive range of frames and holds up to three paraphrases. Short entries
("chunks") and longer ones ("merged") count alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mu0_core.errors import DataError

_GROUPS = ("chunk_texts", "merged_texts")
_INSTRUCTIONS = ("instruction_1", "instruction_2", "instruction_3")


@dataclass(frozen=True, slots=True)
class CaptionEntry:
    """Paraphrases of what happens in the frames ``first``..``last``, both included."""

    first: int
    last: int
    instructions: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last:
            raise DataError(f"caption of frames {self.first}..{self.last}: need 0 <= first..last")
        if not 1 <= len(self.instructions) <= len(_INSTRUCTIONS) or not all(self.instructions):
            raise DataError(f"a caption has 1..3 non-empty instructions, got {self.instructions}")


@dataclass(frozen=True, slots=True)
class Captions:
    """All entries of one episode."""

    entries: tuple[CaptionEntry, ...] = ()

    def at(self, frame: int) -> list[tuple[str, ...]]:
        """Return the instructions of every entry that covers ``frame``."""
        return [e.instructions for e in self.entries if e.first <= frame <= e.last]

    def draw(self, frame: int, rng: np.random.Generator) -> str:
        """Return an instruction of a random covering entry, "" if no entry covers the frame."""
        candidates = self.at(frame)
        if not candidates:
            return ""
        paraphrases = candidates[rng.integers(len(candidates))]
        return paraphrases[rng.integers(len(paraphrases))]

    @classmethod
    def from_file(cls, path: Path) -> Captions:
        """Read ``curated_training_texts.json``; entries without any instruction are left out.

        Raises:
            DataError: not JSON, or an entry is malformed.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found = [_entry(e) for group in _GROUPS for e in data.get(group, ())]
            return cls(tuple(entry for entry in found if entry is not None))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: {type(error).__name__}: {error}") from error

    def to_json(self) -> str:
        """Return the text of a file that `from_file` reads back."""
        chunks = [
            {"chunk_id": k, "start_idx": e.first, "end_idx": e.last}
            | dict(zip(_INSTRUCTIONS, (*e.instructions, "", "")))
            for k, e in enumerate(self.entries)
        ]
        return json.dumps({"chunk_texts": chunks, "merged_texts": []}, indent=1) + "\n"


def _entry(raw: dict) -> CaptionEntry | None:
    texts = [raw.get(key) or "" for key in _INSTRUCTIONS]
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"instructions must be strings, got {texts}")
    first, last = int(raw["start_idx"]), int(raw["end_idx"])
    spoken = tuple(text for text in texts if text.strip())
    return CaptionEntry(first, last, spoken) if spoken else None
