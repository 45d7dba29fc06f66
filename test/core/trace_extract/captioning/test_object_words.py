# SPDX-License-Identifier: Apache-2.0
"""What two patterns and a list find in sentences, and where they keep silent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.simulation.layout import CUBE_COLOURS
from mu0_core.simulation.tasks import TASKS
from mu0_core.trace_extract.captioning.object_words import is_imperative, objects_in, skills_in


@pytest.mark.parametrize(
    "text, objects, skills",
    [
        ("put the red cube in the bowl", ("red cube", "bowl"), ("put",)),
        ("Put red cube into blue bowl.", ("red cube", "blue bowl"), ("put",)),
        ("slide the green block left", ("green block",), ("slide",)),
        ("move the cup to the left side", ("cup",), ("move",)),
        ("open the left drawer", ("left drawer",), ("open",)),
        ("The robot picks up the cup.", ("robot", "cup"), ("pick",)),
        ("pouring water from a jug into the other cup", ("jug", "other cup"), ("pour",)),
        ("pick up the coffee mug and place it on a top shelf", ("coffee mug", "top shelf"),
         ("pick", "place")),
        ("take an orange, then put it into the bowl", ("orange", "bowl"), ("take", "put")),
        ("turn the knob clockwise", ("knob",), ("turn",)),
        ("grasp the cutting board", ("cutting board",), ("grasp",)),
        ("put the cup near the cup", ("cup",), ("put",)),
        ("put the red one on the left", (), ("put",)),
        ("pick up cup", (), ("pick",)),
        ("Öffne die Tür", (), ()),
        ("...", (), ()),
        ("", (), ()),
    ],
)  # fmt: skip
def test_sentences_name_objects_and_verbs(text, objects, skills):
    assert (objects_in(text), skills_in(text)) == (objects, skills)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_every_sentence_of_the_simulator_names_its_things(task):
    for template in task.templates:
        text = template.format(*CUBE_COLOURS)
        objects = objects_in(text)
        assert len(skills_in(text)) == 1 and is_imperative(text)
        count = template.count("{") + sum(w in template for w in ("bowl", "plate", "button"))
        assert len(objects) == count, (text, objects)


def test_only_a_sentence_that_begins_with_a_verb_is_imperative():
    assert is_imperative("Push it") and not is_imperative("the push") and not is_imperative("")


@given(st.text(max_size=60))
def test_any_text_gives_words_of_that_text(text):
    for phrase in objects_in(text):
        assert all(word in text.lower() for word in phrase.split())
    assert len(set(skills_in(text))) == len(skills_in(text))
