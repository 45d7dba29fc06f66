# SPDX-License-Identifier: Apache-2.0
"""The offline captioner keeps the source's words, adds where things moved, and repeats itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.captioning.captioner import CaptionRequest
from mu0_core.trace_extract.captioning.captioner_registry import captioner_names, make_captioner
from mu0_core.trace_extract.captioning.segment_motion import SegmentMotion
from mu0_core.trace_extract.captioning.template_captioner import TemplateCaptioner

PICTURE = np.zeros((4, 6, 3), np.uint8)
LEFT = SegmentMotion(-0.2, 0.0, 0.0, 128.0, False, float("nan"))
TURN = SegmentMotion(0.0, 0.0, 0.0, 20.0, False, 1.2)
SENTENCE = "Put the red cube in the bowl."


def request(*texts, motion=LEFT):
    return CaptionRequest((PICTURE, PICTURE), PICTURE, texts, motion)


def test_the_sentence_of_the_source_comes_first_and_unchanged():
    caption = TemplateCaptioner().describe(request(SENTENCE))
    assert caption.instructions[0] == SENTENCE
    assert len(set(caption.instructions)) == 3
    assert all("to the left in the picture" in text for text in caption.instructions[1:])
    assert caption.skill_labels == ("put",) and caption.objects == ("red cube", "bowl")


def test_sentences_of_the_source_leave_no_room_for_others():
    said = TemplateCaptioner().describe(request("a", "b", "c", "d")).instructions
    assert said == ("a", "b", "c")
    assert TemplateCaptioner(paraphrases=1).describe(request(SENTENCE)).instructions == (SENTENCE,)


def test_without_a_sentence_only_the_motion_is_said():
    caption = TemplateCaptioner().describe(request())
    assert caption.instructions[0] == "something moves to the left in the picture"
    assert all("something" in text for text in caption.instructions)
    assert caption.skill_labels == ("move",) and caption.objects == ()
    assert TemplateCaptioner().describe(request(motion=TURN)).skill_labels == ("turn",)


def test_unknown_motion_is_not_made_up():
    caption = TemplateCaptioner().describe(request(motion=None))
    assert caption.instructions[0] == "something moves"
    assert not any("picture" in text for text in caption.instructions)


def test_only_an_imperative_becomes_a_purpose():
    said = [
        text
        for seed in range(30)
        for text in TemplateCaptioner(seed).describe(request("The robot waits")).instructions
    ]
    assert not any(text.startswith("move") for text in said)
    said = [
        text
        for seed in range(30)
        for text in TemplateCaptioner(seed).describe(request(SENTENCE)).instructions
    ]
    assert "move to the left in the picture to put the red cube in the bowl" in said


def test_the_seed_chooses_the_words_and_repeats_them():
    said = {s: TemplateCaptioner(s).describe(request(SENTENCE)) for s in range(20)}
    assert said == {s: TemplateCaptioner(s).describe(request(SENTENCE)) for s in range(20)}
    assert len({caption.instructions for caption in said.values()}) > 3


def test_words_do_not_depend_on_what_was_described_before():
    captioner = TemplateCaptioner(3)
    captioner.describe(request("something else"))
    assert captioner.describe(request(SENTENCE)) == TemplateCaptioner(3).describe(
        request(SENTENCE)
    )


@given(
    texts=st.lists(st.text(min_size=1, max_size=30).filter(str.strip), max_size=4),
    seed=st.integers(0, 99),
)
def test_any_sentence_of_a_source_gives_a_caption(texts, seed):
    caption = TemplateCaptioner(seed).describe(request(*texts))
    assert 1 <= len(caption.instructions) <= 3
    if texts:
        assert caption.instructions[0] == texts[0].strip()


def test_the_default_is_the_one_without_a_model():
    assert captioner_names()[0] == "template"
    captioner = make_captioner("template", {"seed": 5})
    assert captioner.provenance() == {"captioner": "template", "seed": "5", "paraphrases": "3"}


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("gpt", None, "unknown captioner 'gpt'; known: template, transformers, openai"),
        ("template", {"voice": 3}, "captioner template: .*voice"),
        ("template", {"seed": -1}, "seed -1"),
        ("template", {"paraphrases": 4}, "paraphrases 4"),
        ("transformers", None, "captioner transformers: .*model"),
        ("transformers", {"model": ""}, "model ''"),
        ("openai", {"api_key": "x"}, "captioner openai: .*api_key"),
    ],
)
def test_unknown_names_and_options_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        make_captioner(name, options)
