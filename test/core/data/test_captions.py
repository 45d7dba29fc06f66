# SPDX-License-Identifier: Apache-2.0
"""Captions cover inclusive ranges; every paraphrase is drawn; broken files are named."""

import json

import numpy as np
import pytest

from mu0_core.data.captions import CaptionEntry, Captions
from mu0_core.errors import DataError

ENTRIES = Captions((CaptionEntry(2, 4, ("a", "b")), CaptionEntry(4, 9, ("c",))))


def test_ranges_include_both_ends():
    found = {frame: ENTRIES.at(frame) for frame in (1, 2, 4, 9, 10)}
    assert found == {1: [], 2: [("a", "b")], 4: [("a", "b"), ("c",)], 9: [("c",)], 10: []}


def test_entries_are_drawn_alike_and_then_their_paraphrases():
    rng = np.random.default_rng(0)
    drawn = [ENTRIES.draw(4, rng) for _ in range(2000)]
    shares = [drawn.count(word) / len(drawn) for word in "abc"]
    np.testing.assert_allclose(shares, [0.25, 0.25, 0.5], atol=0.05)
    assert ENTRIES.draw(10, rng) == ""


def test_a_file_keeps_what_was_written(tmp_path):
    path = tmp_path / "texts.json"
    path.write_text(ENTRIES.to_json(), encoding="utf-8")
    assert Captions.from_file(path) == ENTRIES


def test_empty_instructions_and_empty_entries_are_left_out(tmp_path):
    path = tmp_path / "texts.json"
    raw = {"start_idx": 0, "end_idx": 5, "instruction_1": "", "instruction_2": "go"}
    silent = {"start_idx": 0, "end_idx": 5, "instruction_1": " "}
    path.write_text(json.dumps({"merged_texts": [raw, silent]}))
    assert Captions.from_file(path).at(3) == [("go",)]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"chunk_texts": [{}]}',
        '{"chunk_texts": [3]}',
        '{"merged_texts": 3}',
        '{"chunk_texts": [{"start_idx": 5, "end_idx": 2, "instruction_1": "x"}]}',
        '{"chunk_texts": [{"start_idx": 1, "end_idx": 2, "instruction_1": 7}]}',
        '{"chunk_texts": [{"start_idx": 1.5, "end_idx": 2, "instruction_1": "x"}]}',
        '{"chunk_texts": [{"start_idx": 1, "instruction_1": "x"}]}',
        '{"chunk_texts": null}',
    ],
)
def test_a_broken_file_is_named(tmp_path, text):
    path = tmp_path / "texts.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"texts\.json"):
        Captions.from_file(path)
