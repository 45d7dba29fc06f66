# SPDX-License-Identifier: Apache-2.0
"""Captions without a model: the source's own sentences, objects named in them, motion in words.

It sees the pictures of a request but never looks at them. What it adds is true but little: where
something moved in the picture. Sentences of the source come first and are never changed.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.captioning.captioner import (
    MAX_INSTRUCTIONS,
    Caption,
    CaptionRequest,
    joined_instructions,
    without_stop,
)
from mu0_core.trace_extract.captioning.motion_words import MotionWords, motion_words
from mu0_core.trace_extract.captioning.object_words import is_imperative, objects_in, skills_in

_MOST_OBJECTS = 3


class TemplateCaptioner:
    """Implements `Captioner`; the offline default.

    Attributes:
        name: ``template``, which marks its entries as automatic.
    """

    name = "template"

    def __init__(self, seed: int = 0, paraphrases: int = MAX_INSTRUCTIONS) -> None:
        """Choose the wording.

        Args:
            seed: of the choice among wordings; the same request gets the same words again.
            paraphrases: sentences per segment, 1..3; those of the source count first, so 1 adds
                none to them.

        Raises:
            ConfigError: there cannot be that many sentences, or the seed is negative.
        """
        if not 1 <= paraphrases <= MAX_INSTRUCTIONS or seed < 0:
            raise ConfigError(
                f"paraphrases {paraphrases} must be 1..{MAX_INSTRUCTIONS} and seed {seed} not "
                "negative"
            )
        self._seed, self._paraphrases = seed, paraphrases

    def describe(self, request: CaptionRequest) -> Caption:
        """Return the sentences of the source and, up to the wanted number, ones about motion."""
        words = motion_words(request.motion)
        texts = tuple(dict.fromkeys(text.strip() for text in request.texts))
        objects = _in_order(objects_in(text) for text in texts)[:_MOST_OBJECTS]
        skills = _in_order(skills_in(text) for text in texts) or (words.base,)
        known = texts or (f"something {words.after(words.third)}",)
        more = _wordings(texts[0], objects, words) if texts else _bare(words)
        sentences = tuple(dict.fromkeys([*known, *self._shuffled(more)]))[: self._paraphrases]
        return Caption(sentences, skills, objects)

    def merge(self, captions: Sequence[Caption]) -> tuple[str, ...]:
        """Return what all have in common, else their first sentences one after the other."""
        return joined_instructions(captions)

    def provenance(self) -> dict[str, str]:
        """Return name, seed and number of sentences."""
        return {
            "captioner": self.name,
            "seed": str(self._seed),
            "paraphrases": str(self._paraphrases),
        }

    def _shuffled(self, sentences: list[str]) -> list[str]:
        """Return the sentences in an order that depends on the seed and on what they say."""
        key = zlib.crc32("\n".join(sentences).encode())
        order = np.random.default_rng([self._seed, key]).permutation(len(sentences))
        return [sentences[k] for k in order]


def _wordings(text: str, objects: tuple[str, ...], words: MotionWords) -> list[str]:
    """Return ways to say where something moved while ``text`` was done."""
    plain = without_stop(text)
    sentences = [
        f"{plain}, {words.after(words.gerund)}",
        f"{plain}: something {words.after(words.third)}",
    ]
    if is_imperative(text) and " then " not in text:
        sentences.append(f"{words.after(words.base)} to {plain[0].lower()}{plain[1:]}")
    if objects:
        named = " and ".join(f"the {name}" for name in objects[:2])
        sentences.append(f"handle {named}, {words.after(words.gerund)}")
    return sentences


def _bare(words: MotionWords) -> list[str]:
    """Return further ways to say where something moved when nothing else is known."""
    return [
        f"{words.base} something {words.phrase}".strip(),
        f"make something {words.after(words.base)}",
    ]


def _in_order(groups: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for group in groups for word in group))
