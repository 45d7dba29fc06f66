# SPDX-License-Identifier: Apache-2.0
"""Success tables: counts, confusion, Wilson intervals."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.evaluation.success_table import Episode, SuccessTable, wilson


def _table(*episodes: tuple[str, str, tuple[str, ...]]) -> SuccessTable:
    table = SuccessTable()
    for seed, (task, instructed, achieved) in enumerate(episodes):
        table.add(Episode(task, instructed, seed, achieved, "over", 1.0))
    return table


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_contains_its_rate(counts: tuple[int, int]) -> None:
    successes, episodes = counts
    low, high = wilson(successes, episodes)
    assert 0.0 <= low <= successes / episodes + 1e-12
    assert successes / episodes - 1e-12 <= high <= 1.0
    mirrored = wilson(episodes - successes, episodes)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


@given(st.integers(1, 100), st.integers(2, 10))
def test_more_episodes_narrow_the_interval(successes: int, factor: int) -> None:
    few, many = wilson(successes, 100), wilson(successes * factor, 100 * factor)
    assert many[1] - many[0] < few[1] - few[0]


def test_no_episode_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert SuccessTable().to_json() == {"tasks": {}}


def test_success_is_judged_by_task_and_confusion_by_sentence() -> None:
    table = _table(("a", "b", ("b",)), ("a", "b", ("a", "b")), ("a", "a", ("a",)), ("a", "a", ()))
    assert table.to_json() == {"tasks": {"a": {"successes": 2, "episodes": 4}}}
    assert table.confusion() == {"b": {"b": 2, "a": 1}, "a": {"a": 1}}


def test_confusion_table_shows_shares_and_tasks_nobody_asked_for() -> None:
    table = _table(("a", "a", ("a", "c")), ("a", "a", ()), ("b", "b", ("b",)))
    header, _, *rows = table.confusion_markdown().splitlines()
    assert header == "| sentence of | a | b | c |"
    assert rows == ["| a | 50% | 0% | 50% |", "| b | 0% | 100% | 0% |"]


def test_markdown_ends_with_the_mean_over_tasks() -> None:
    table = _table(("a", "a", ("a",)), ("b", "b", ()), ("b", "b", ()), ("b", "b", ()))
    assert table.to_markdown().splitlines()[-1] == "| **mean** | **50%** | |"


def test_plot_writes_a_picture(tmp_path: Path) -> None:
    _table(("a", "a", ("a",)), ("b", "b", ())).plot(tmp_path / "bars.png")
    assert (tmp_path / "bars.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
