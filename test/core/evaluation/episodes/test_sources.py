# SPDX-License-Identifier: Apache-2.0
"""Held out means held out: what is evaluated, in which groups, and what is refused."""

from __future__ import annotations

import json

import pytest

from mu0_core.errors import DataError
from mu0_core.evaluation.episodes.sources import check_unseen, find_sources, training_episodes


def split_file(folder, **lists):
    path = folder / "split.json"
    path.write_text(json.dumps(lists))
    return str(path)


def names(folders):
    return [folder.name for folder in folders]


def test_a_folder_or_pattern_is_evaluated_as_a_whole(episodes):
    assert len(find_sources(str(episodes)).evaluated) == 6
    found = find_sources(f"{episodes}/episode[01]", f"{episodes}/episode[2-5]")
    assert names(found.evaluated) == ["episode0", "episode1"] and len(found.train) == 4
    assert not found.groups


def test_a_split_file_keeps_its_training_episodes_out(copy):
    split = split_file(
        copy, train=["episode[0-2]"], held_out=["episode3"],
        groups={"camera": ["episode4", "episode3"], "task": ["episode5"]},
    )  # fmt: skip
    found = find_sources(split)
    assert names(found.evaluated) == ["episode3", "episode4", "episode5"]
    assert {k: names(v) for k, v in found.groups.items()} == {
        "camera": ["episode4", "episode3"], "task": ["episode5"],
    }  # fmt: skip
    assert names(found.train) == ["episode0", "episode1", "episode2"]
    assert names(find_sources(f"{copy}/episode5", split).train) == names(found.train)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"held_out": ["episode3"]}, r"expected \{\"train\".*groups.*'train'"),
        ({"train": ["episode0"]}, "'held_out'"),
        ({"train": "episode0", "held_out": ["episode3"]}, "no list of patterns"),
        ({"train": ["episode0"], "held_out": ["episode3"], "groups": ["a"]}, "expected"),
        ({"train": ["episode*"], "held_out": ["episode3"]}, "1 episodes to train on"),
        (
            {"train": ["episode0"], "held_out": ["episode3"], "groups": {"task": ["episode[01]"]}},
            r"held out too \(group 'task'\): .*episode0",
        ),
        (
            {"train": ["episode0"], "held_out": ["episode3"], "groups": {"task": ["zzz"]}},
            "zzz matches no episode",
        ),
    ],
)
def test_a_bad_split_file_is_named(copy, lists, message):
    with pytest.raises(DataError, match=message):
        find_sources(split_file(copy, **lists))


def test_missing_data_and_training_data_are_refused(episodes, tmp_path):
    with pytest.raises(DataError, match=r"--data .*nowhere: no episode in the released format"):
        find_sources(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"--train .*nowhere: no episode"):
        find_sources(str(episodes), str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="1 episodes to evaluate are training episodes too"):
        find_sources(str(episodes), f"{episodes}/episode3")


def test_a_checkpoint_that_tells_its_training_is_checked(episodes, tmp_path):
    evaluated = find_sources(f"{episodes}/episode[01]").evaluated
    best = tmp_path / "model" / "best"
    (tmp_path / "model/work").mkdir(parents=True)
    assert training_episodes(best) is None
    assert "does not tell which episodes" in check_unseen("mu0", best, evaluated)
    text = {"train": [str(episodes / f"episode{k}") for k in (1, 2)], "held_out": []}
    (tmp_path / "model/work/split.json").write_text(json.dumps(text))
    for folder in (best, best.parent):
        with pytest.raises(DataError, match="mu0 was trained on 1 of 2 episodes.*episode1"):
            check_unseen("mu0", folder, evaluated)
        assert check_unseen("mu0", folder, evaluated[:1]) is None
    (tmp_path / "model/work/split.json").write_text("[]")
    with pytest.raises(DataError, match="no split of a training"):
        check_unseen("mu0", best, evaluated)
