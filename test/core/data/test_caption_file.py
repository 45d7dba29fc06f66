# SPDX-License-Identifier: Apache-2.0
"""The caption file keeps chunks and merged entries apart, with what is known about them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.data.captions import CaptionEntry, Captions

CHUNK = CaptionEntry(0, 9, ("pick the cup", "grasp it"), ("pick",), ("cup",), "template")
MERGED = CaptionEntry(0, 19, ("move the cup",), ("pick", "place"), (), "openai", True)

texts = st.text(min_size=1, max_size=20).filter(lambda text: text.strip())
words = st.lists(texts, max_size=3).map(tuple)
entries = st.builds(
    lambda first, more, *rest: CaptionEntry(first, first + more, *rest),
    st.integers(0, 500),
    st.integers(0, 500),
    st.lists(texts, min_size=1, max_size=3).map(tuple),
    words,
    words,
    st.text(max_size=8),
    st.booleans(),
)


def written(captions, path):
    path.write_text(captions.to_json(), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


@given(found=st.lists(entries, max_size=6))
def test_every_field_survives_the_file(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("captions") / "texts.json"
    ordered = sorted(found, key=lambda entry: entry.is_merged)  # chunks come first in a file
    written(Captions(tuple(found)), path)
    assert Captions.from_file(path) == Captions(tuple(ordered))


def test_the_file_has_the_keys_of_the_released_format(tmp_path):
    raw = written(Captions((MERGED, CHUNK)), tmp_path / "texts.json")
    assert raw["chunk_texts"] == [
        {
            "chunk_id": 0,
            "start_idx": 0,
            "end_idx": 9,
            "instruction_1": "pick the cup",
            "instruction_2": "grasp it",
            "instruction_3": "",
            "skill_labels": ["pick"],
            "objects": ["cup"],
            "captioner": "template",
        }
    ]
    (merged,) = raw["merged_texts"]
    assert "chunk_id" not in merged and merged["skill_labels"] == ["pick", "place"]


def test_chunk_and_merged_entries_are_drawn_alike(tmp_path):
    path = tmp_path / "texts.json"
    written(Captions((CHUNK, MERGED)), path)
    rng = np.random.default_rng(0)
    drawn = [Captions.from_file(path).draw(5, rng) for _ in range(600)]
    assert abs(drawn.count("move the cup") / 600 - 0.5) < 0.06


@pytest.mark.parametrize("foreign", [None, "pick", {"verb": "pick"}, 3, [{"verb": "pick"}, 4]])
def test_labels_in_a_foreign_form_are_left_out_and_the_entry_stays(tmp_path, foreign):
    path = tmp_path / "texts.json"
    entry = {"start_idx": 0, "end_idx": 3, "instruction_1": "go"}
    entry |= {"skill_labels": foreign, "objects": foreign, "captioner": 7}
    path.write_text(json.dumps({"chunk_texts": [entry]}))
    assert Captions.from_file(path).entries == (CaptionEntry(0, 3, ("go",)),)


def test_labels_of_a_list_stay_beside_foreign_ones(tmp_path):
    path = tmp_path / "texts.json"
    entry = {"start_idx": 0, "end_idx": 3, "instruction_1": "go", "objects": ["cup", None, ""]}
    path.write_text(json.dumps({"merged_texts": [entry]}))
    assert Captions.from_file(path).entries[0].objects == ("cup",)
