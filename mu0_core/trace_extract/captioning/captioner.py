# SPDX-License-Identifier: Apache-2.0
"""What stage 8 asks of a captioner. A backend is one file and one line in its registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mu0_core.errors import DataError
from mu0_core.trace_extract.captioning.segment_motion import SegmentMotion

MAX_INSTRUCTIONS = 3


@dataclass(frozen=True, slots=True)
class CaptionRequest:
    """One segment as a captioner sees it.

    Attributes:
        frames: (h, w, 3) uint8 each: the first, perhaps one from the middle, the last.
        motion_picture: (h, w, 3) uint8, the first frame, dark where nothing moves.
        texts: sentences of the source about it, the most specific first; may be empty.
        motion: of its points, None where no point is seen twice.
    """

    frames: tuple[np.ndarray, ...]
    motion_picture: np.ndarray
    texts: tuple[str, ...]
    motion: SegmentMotion | None


@dataclass(frozen=True, slots=True)
class Caption:
    """What a captioner says.

    Attributes:
        instructions: one to three paraphrases, the best first.
        skill_labels: verbs; objects: nouns; both may be empty.
    """

    instructions: tuple[str, ...]
    skill_labels: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        spoken = [text for text in self.instructions if text.strip()]
        if not 1 <= len(self.instructions) <= MAX_INSTRUCTIONS or len(spoken) < len(
            self.instructions
        ):
            raise DataError(
                f"a caption has 1..{MAX_INSTRUCTIONS} non-empty instructions, "
                f"got {self.instructions}"
            )


class Captioner(Protocol):
    """Describes motion segments.

    Attributes:
        name: stands in each entry of the caption file.
    """

    name: str

    def describe(self, request: CaptionRequest) -> Caption:
        """Return the caption of one segment.

        Raises:
            InferenceError: the model or server fails, or its answer cannot be understood.
        """
        ...

    def merge(self, captions: Sequence[Caption]) -> tuple[str, ...]:
        """Return one to three instructions for consecutive segments taken together.

        Raises:
            InferenceError: as in ``describe``.
        """
        ...

    def provenance(self) -> dict[str, str]:
        """Return what a manifest should say about it: its name, model and settings, no secret."""
        ...


def joined_instructions(captions: Sequence[Caption]) -> tuple[str, ...]:
    """Return the sentences that all captions share, else their first ones in order as one."""
    firsts = list(dict.fromkeys(caption.instructions[0] for caption in captions))
    if len(firsts) > 1:
        return (", then ".join(without_stop(text) for text in firsts),)
    others = [set(caption.instructions) for caption in captions]
    return tuple(text for text in captions[0].instructions if all(text in o for o in others))


def without_stop(text: str) -> str:
    """Return a sentence that can be continued; one of nothing but signs stays as it is."""
    return text.rstrip(" .!;,") or text
