# SPDX-License-Identifier: Apache-2.0
"""Objects and verbs named in a sentence, by two patterns and a list. Not a parser.

A noun phrase is what follows an article or a colour, up to the next preposition, conjunction,
verb in the third person or punctuation. "pick up cup" names no object here: silence is better
than a guess.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|[^\w\s]")
_ARTICLES = frozenset("the a an this these those my your his her its their both another".split())
_COLOURS = frozenset(
    "red green blue yellow orange purple pink black white grey gray brown silver golden".split()
)
_ENDS = frozenset(
    "in into on onto to from of off over under below above behind before after between beside "
    "besides by near next with without at for through across along around against toward towards "
    "inside outside up down out away back upright together again and or then while until when "
    "that which so as is are it them slowly quickly gently carefully clockwise anticlockwise "
    "counterclockwise".split()
)
_NO_OBJECTS = frozenset(
    "left right top bottom middle center centre side sides front rear edge end corner way one "
    "ones thing things object objects item items something other same".split()
)
_VERBS = (
    "pick place put grasp grab take hold lift raise lower move carry bring push pull press slide "
    "drag open close turn rotate twist flip pour stir mix wipe clean wash fold unfold hang insert "
    "remove stack unstack drop release throw shake cut slice sweep scoop plug unplug tighten "
    "loosen screw unscrew switch hit tap touch reach align arrange sort load unload fill empty "
    "cover uncover set attach detach tie untie squeeze roll spread peel type write draw"
).split()
_LONGEST = 4


def _forms(verb: str) -> tuple[str, str, set[str]]:
    """Return a verb, its third person and its possible gerunds."""
    if verb.endswith(("s", "x", "z", "ch", "sh")):
        third = f"{verb}es"
    elif verb.endswith("y") and verb[-2] not in "aeiou":
        third = f"{verb[:-1]}ies"
    else:
        third = f"{verb}s"
    stem = verb[:-1] if verb.endswith("e") else verb
    return verb, third, {f"{stem}ing", f"{verb}{verb[-1]}ing"}


_THIRD = frozenset(_forms(verb)[1] for verb in _VERBS)
_BASE = {
    form: verb
    for verb in _VERBS
    for base, third, gerunds in [_forms(verb)]
    for form in (base, third, *gerunds)
}


def objects_in(text: str) -> tuple[str, ...]:
    """Return the noun phrases of a sentence in order, lower case, each once."""
    words = _words(text)
    phrases = [" ".join(words[first:stop]) for first, stop in _phrases(words)]
    return tuple(dict.fromkeys(phrases))


def skills_in(text: str) -> tuple[str, ...]:
    """Return the known verbs of a sentence in order, in their base form, each once."""
    words = _words(text)
    inside = {k for first, stop in _phrases(words) for k in range(first, stop)}
    found = [_BASE[w] for k, w in enumerate(words) if w in _BASE and k not in inside]
    return tuple(dict.fromkeys(found))


def is_imperative(text: str) -> bool:
    """Say whether a sentence begins with a known verb in its base form."""
    words = _words(text)
    return bool(words) and words[0] in _VERBS


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _phrases(words: list[str]) -> list[tuple[int, int]]:
    """Return (first, behind the last) word of each noun phrase."""
    phrases, k = [], 0
    while k < len(words):
        is_article = words[k] in _ARTICLES
        if not is_article and words[k] not in _COLOURS:
            k += 1
            continue
        first = stop = k + is_article
        while stop < min(len(words), first + _LONGEST) and _continues(words[stop]):
            stop += 1
        k = max(stop, k + 1)
        while stop > first and words[stop - 1] in _NO_OBJECTS:
            stop -= 1  # "the block left", "the left side"
        if stop > first and not _bare(words[first:stop]):
            phrases.append((first, stop))
    return phrases


def _continues(word: str) -> bool:
    return word[0].isalnum() and word not in _ENDS | _ARTICLES | _THIRD


def _bare(words: list[str]) -> bool:
    """Say whether nothing but colours is named; an orange is a thing."""
    return words != ["orange"] and all(word in _COLOURS for word in words)
