# SPDX-License-Identifier: Apache-2.0
"""Which episodes are found, split, and recognised again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mu0_core.errors import DataError
from mu0_core.training.episodes.sources import (
    Split,
    find_episodes,
    fingerprint,
    is_episode,
    read_split,
    split_patterns,
)


@pytest.fixture
def tree(tmp_path):
    """Two groups of fake episodes, one of them nested, and things that are none."""
    for name in ("a/e0", "a/e1", "a/e2", "b/deep/e0", "b/deep/e1", "a/.partial.e9", "a/notes"):
        folder = tmp_path / name
        (folder / ("samples" if "notes" not in name else "text")).mkdir(parents=True)
        if "notes" not in name:
            np.save(folder / "samples/frame_indices.npy", np.arange(len(name)))
    return tmp_path


def names(paths):
    return [p.name for p in paths]


def test_patterns_and_folders_lead_to_episodes(tree):
    assert names(find_episodes(str(tree / "a"))) == ["e0", "e1", "e2"]
    assert names(find_episodes(str(tree / "a/e[01]"))) == ["e0", "e1"]
    assert len(find_episodes(str(tree))) == 5 and find_episodes(str(tree / "none")) == []
    assert not is_episode(tree / "a/notes")


def test_each_pattern_is_split_with_at_least_one_held_out(tree):
    split = split_patterns([str(tree / "a"), str(tree / "b")], 0.05, seed=3)
    assert len(split.held_out) == 2 and len(split.train) == 3
    assert {p.parent.name for p in split.held_out} == {"a", "deep"}
    assert split == split_patterns([str(tree / "a"), str(tree / "b")], 0.05, seed=3)
    others = {split_patterns([str(tree / "a")], 0.05, seed=k).held_out for k in range(9)}
    assert len(others) > 1  # the seed decides
    assert len(split_patterns([str(tree / "a")], 0.6, 0).held_out) == 2


def test_an_episode_that_two_patterns_match_counts_once(tree):
    split = split_patterns([str(tree / "a"), str(tree)], 0.1, 0)
    assert len(split.train) + len(split.held_out) == 5


@pytest.mark.parametrize("pattern", ["none", "a/notes", "a/e0"])
def test_too_few_episodes_are_an_error(tree, pattern):
    with pytest.raises(DataError, match=r"[01] episodes in the released format .*at least 2"):
        split_patterns([str(tree / pattern)], 0.05, 0)


def test_a_split_survives_a_file_and_is_relative_to_it(tree):
    split = split_patterns([str(tree / "a")], 0.05, 0)
    split.save(tree / "split.json")
    assert read_split(tree / "split.json") == split
    (tree / "own.json").write_text(json.dumps({"train": ["a/e0", "b"], "held_out": ["a/e[12]"]}))
    read = read_split(tree / "own.json")
    assert names(read.train) == ["e0", "e0", "e1"] and names(read.held_out) == ["e1", "e2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", r'expected \{"train"'),
        ("[", r'expected \{"train"'),
        ('{"train": ["a"], "held_out": ["zzz"]}', "zzz matches no episode"),
        ('{"train": ["a"], "held_out": ["a/e0"]}', "1 episodes to train on are held out too"),
        ('{"train": ["a"], "held_out": []}', "no held_out episode"),
    ],
)
def test_a_bad_split_file_is_named(tree, text, message):
    (tree / "bad.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_split(tree / "bad.json")


def test_the_fingerprint_follows_content_and_not_place(tree):
    first = fingerprint(find_episodes(str(tree / "a")))
    (tree / "a").rename(tree / "moved")
    assert fingerprint(find_episodes(str(tree / "moved"))) == first
    np.save(tree / "moved/e1/samples/frame_indices.npy", np.arange(4) + 1)  # same size
    second = fingerprint(find_episodes(str(tree / "moved")))
    assert second != first
    assert fingerprint(find_episodes(str(tree / "moved"))[:2]) != second


def test_a_split_needs_both_sides(tree):
    with pytest.raises(DataError, match="no train episode"):
        Split((), (tree / "a/e0",))
