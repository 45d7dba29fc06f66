# SPDX-License-Identifier: Apache-2.0
"""Instructions of an episode: which sentences describe a frame, and drawing one of them.

An entry covers an inclusive range of frames and holds up to three paraphrases. Short entries
("chunks") and longer ones ("merged") count alike where a sentence is drawn. What an entry says
besides (skills, objects, who wrote it) is kept for people and never decides anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mu0_core.errors import DataError

_MERGED = "merged_texts"
_GROUPS = ("chunk_texts", _MERGED)
_INSTRUCTIONS = ("instruction_1", "instruction_2", "instruction_3")


@dataclass(frozen=True, slots=True)
class CaptionEntry:
    """Paraphrases of what happens in the frames ``first``..``last``, both included.

    Attributes:
        instructions: one to three sentences.
        skill_labels: verbs; objects: nouns; both may be empty.
        captioner: who wrote it, e.g. ``template``; "" = not known.
        is_merged: the entry joins several shorter ones.
    """

    first: int
    last: int
    instructions: tuple[str, ...]
    skill_labels: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    captioner: str = ""
    is_merged: bool = False

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
            DataError: not a JSON object, or an entry is malformed (also one without instruction).
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read as JSON ({error})") from error
        try:
            found = [
                _entry(raw, group == _MERGED) for group in _GROUPS for raw in _listed(data, group)
            ]
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        return cls(tuple(entry for entry in found if entry is not None))

    def to_json(self) -> str:
        """Return the text of a file that `from_file` reads back; merged entries come last."""
        chunks = [e for e in self.entries if not e.is_merged]
        merged = [e for e in self.entries if e.is_merged]
        data = {
            "chunk_texts": [{"chunk_id": k} | _raw(e) for k, e in enumerate(chunks)],
            _MERGED: [_raw(e) for e in merged],
        }
        return json.dumps(data, indent=1) + "\n"


def _listed(data: object, group: str) -> list:
    if not isinstance(data, dict):
        raise DataError(f"expected a JSON object, got {data!r}")
    entries = data.get(group, [])
    if not isinstance(entries, list):
        raise DataError(f"{group} must be a list, got {entries!r}")
    return entries


def _entry(raw: object, is_merged: bool) -> CaptionEntry | None:
    if not isinstance(raw, dict):
        raise DataError(f"an entry must be an object, got {raw!r}")
    texts = [raw.get(key) or "" for key in _INSTRUCTIONS]
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"instructions must be strings, got {texts}")
    ends = [raw.get(key) for key in ("start_idx", "end_idx")]
    if any(type(end) is not int for end in ends):  # bool is an int too
        raise DataError(f"start_idx and end_idx must be integers, got {ends}")
    spoken = tuple(text for text in texts if text.strip())
    if not spoken:
        return None
    captioner = raw.get("captioner")
    return CaptionEntry(
        *ends,
        spoken,
        *(_words(raw.get(key)) for key in ("skill_labels", "objects")),
        captioner if isinstance(captioner, str) else "",
        is_merged,
    )


def _words(raw: object) -> tuple[str, ...]:
    """Return the words of a list; other forms are foreign and no reason to refuse a file."""
    return tuple(w for w in raw if isinstance(w, str) and w) if isinstance(raw, list) else ()


def _raw(entry: CaptionEntry) -> dict[str, object]:
    return {
        "start_idx": entry.first,
        "end_idx": entry.last,
        **dict(zip(_INSTRUCTIONS, (*entry.instructions, "", ""))),
        "skill_labels": list(entry.skill_labels),
        "objects": list(entry.objects),
        "captioner": entry.captioner,
    }
