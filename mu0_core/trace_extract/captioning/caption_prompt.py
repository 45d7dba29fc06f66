# SPDX-License-Identifier: Apache-2.0
"""What a language model is asked about a segment, and what is understood of its answer.

Answers are untrusted text: only a JSON object (or list) with sentences counts, whatever stands
around it, and only sentences that could be given as instructions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from mu0_core.errors import InferenceError, RequestError
from mu0_core.inference.instruction import checked_instruction, for_log
from mu0_core.trace_extract.captioning.captioner import MAX_INSTRUCTIONS, Caption, CaptionRequest
from mu0_core.trace_extract.captioning.motion_words import motion_words

_FORM = '{"instructions": ["...", "...", "..."], "skills": ["..."], "objects": ["..."]}'
_MERGED_FORM = '{"instructions": ["...", "...", "..."]}'
_MAX_LABELS = 8
_MAX_LABEL_CHARACTERS = 40
_MAX_STARTS = 1000  # places in an answer where JSON is looked for

Parsed = TypeVar("Parsed")


def describe_prompt(request: CaptionRequest) -> str:
    """Return the question about one segment; its pictures go with it, the motion picture last."""
    shown = ("the first", "the last") if len(request.frames) == 2 else ("the only",)
    shown = shown if len(request.frames) < 3 else ("the first", "a middle", "the last")
    order = ", ".join(f"{name} frame" for name in shown)
    words = motion_words(request.motion)
    lines = [
        f"The pictures show one short action in a video: {order}, and the first frame again with "
        "everything dark that does not move.",
        f"Measured motion: something {words.after(words.third)}.",
    ]
    if request.texts:
        said = "; ".join(_harmless(text) for text in request.texts)
        lines.append(f"The source of the video says about it: {said}.")
    lines += [
        "Write three different imperative instructions, each one sentence of at most 20 words, "
        "that would make a robot or a person do exactly this action. Name objects by what can be "
        "seen. Also list the verbs (skills) and the objects that are handled.",
        f"Answer with JSON only: {_FORM}",
    ]
    return "\n".join(lines)


def merge_prompt(captions: Sequence[Caption]) -> str:
    """Return the question about consecutive segments together; no pictures come with it."""
    steps = [
        f"{k}. {' / '.join(_harmless(text) for text in caption.instructions)}"
        for k, caption in enumerate(captions, start=1)
    ]
    return "\n".join(
        [
            "These are consecutive steps of one video, each in several wordings:",
            *steps,
            "Write three different imperative instructions, each one sentence of at most 30 "
            "words, that ask for all steps together.",
            f"Answer with JSON only: {_MERGED_FORM}",
        ]
    )


def parse_caption(answer: str) -> Caption:
    """Return the first usable caption in an answer.

    Raises:
        InferenceError: there is none; quotes the beginning of the answer.
    """
    for data in _json_values(answer):
        sentences = _sentences(data)
        if sentences:
            labels = data if isinstance(data, dict) else {}
            return Caption(
                sentences,
                _labels(labels.get("skills", labels.get("skill_labels"))),
                _labels(labels.get("objects")),
            )
    raise InferenceError(f"no JSON with instructions in the answer {for_log(answer)!r}")


def parse_instructions(answer: str) -> tuple[str, ...]:
    """Return the instructions of the first usable caption in an answer.

    Raises:
        InferenceError: there is none.
    """
    return parse_caption(answer).instructions


def ask(
    answer: Callable[[int], str], parse: Callable[[str], Parsed], attempts: int, who: str
) -> Parsed:
    """Return the first answer that can be parsed.

    Args:
        answer: called with 0, 1, ... for each attempt.
        parse: raises InferenceError for what it cannot read.
        attempts: at most.
        who: for the message.

    Raises:
        InferenceError: none of the answers can be parsed, or ``answer`` raised it.
    """
    reason = ""
    for attempt in range(attempts):
        text = answer(attempt)
        try:
            return parse(text)
        except InferenceError as error:
            reason = str(error)
    raise InferenceError(f"{who}: {attempts} answers and none is usable; the last: {reason}")


def _harmless(text: str) -> str:
    """Return text in one line without the signs that models' control words are made of."""
    return " ".join(text.translate(str.maketrans("<>|", "   ")).split())


def _json_values(answer: str) -> Iterator[object]:
    """Yield every JSON object or list in the answer, and the objects right inside an object."""
    decoder, place, starts = json.JSONDecoder(), 0, 0
    while starts < _MAX_STARTS:
        found = [k for k in (answer.find(sign, place) for sign in "{[") if k >= 0]
        if not found:
            return
        place, starts = min(found), starts + 1
        try:
            value, place = decoder.raw_decode(answer, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        yield value
        if isinstance(value, dict):
            yield from (inner for inner in value.values() if isinstance(inner, dict))


def _sentences(data: object) -> tuple[str, ...]:
    """Return up to three instructions of a JSON value, each once."""
    if isinstance(data, dict):
        numbered = [data.get(f"instruction_{k}") for k in range(1, MAX_INSTRUCTIONS + 1)]
        data = data.get("instructions", numbered)
    listed = [data] if isinstance(data, str) else data if isinstance(data, list) else []
    found: dict[str, None] = {}
    for text in listed:
        if not isinstance(text, str):
            continue
        text = " ".join(text.split())
        try:
            text = checked_instruction(text)
        except RequestError:
            continue
        if any(c.isalpha() for c in text):
            found[text] = None
    return tuple(found)[:MAX_INSTRUCTIONS]


def _labels(data: object) -> tuple[str, ...]:
    listed = data if isinstance(data, list) else []
    words = [" ".join(w.lower().split()) for w in listed if isinstance(w, str)]
    usable = [w for w in words if any(c.isalpha() for c in w) and len(w) <= _MAX_LABEL_CHARACTERS]
    return tuple(dict.fromkeys(usable))[:_MAX_LABELS]
