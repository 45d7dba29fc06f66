# SPDX-License-Identifier: Apache-2.0
"""Means over points with intervals over episodes, and comparisons of what saw the same."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from mu0_core.errors import ShapeError
from mu0_core.evaluation.episodes.tally import Bootstrap, Tally

EPISODES = [f"e{k // 3}" for k in range(60)]  # 20 of three scenes


def table(values):
    """Return sums and counts of two points in each scene."""
    return np.stack([2 * np.asarray(values, float), np.full(len(values), 2.0)], axis=1)


def test_sums_of_blocks_are_the_mean_of_all_points():
    rng = np.random.default_rng(0)
    values, owner = rng.random(30), np.repeat(np.arange(6), 5)
    values[3] = np.nan
    tally = Tally()
    tally.add(("x",), values[:15], owner[:15], 3)
    tally.add(("x",), values[15:], owner[15:] - 3, 3)
    found = Bootstrap("abcdef", 100, 0).means(tally.arrays())["x",]
    assert found.value == pytest.approx(np.nanmean(values)) and found.count == 29
    assert found.low < found.value < found.high


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(200):
        level = np.repeat(rng.normal(5, 1, 20), 3)  # scenes of an episode err alike
        mean = Bootstrap(EPISODES, 400, trial).means({("x",): table(level)})["x",]
        inside += mean.low <= 5 <= mean.high
    assert 0.86 <= inside / 200 <= 0.99


def test_scenes_of_an_episode_are_drawn_together():
    values = np.repeat(np.random.default_rng(2).normal(size=20), 3)
    together = Bootstrap(EPISODES, 1000, 0).means({("x",): table(values)})["x",]
    apart = Bootstrap(range(60), 1000, 0).means({("x",): table(values)})["x",]
    assert together.high - together.low > 1.4 * (apart.high - apart.low)


def test_a_seed_gives_the_same_interval_whatever_is_beside_it():
    one, two = (table(np.random.default_rng(k).random(60)) for k in (0, 1))
    alone = Bootstrap(EPISODES, 200, 3).means({("a",): one})
    beside = Bootstrap(EPISODES, 200, 3).means({("b",): two, ("a",): one})
    assert astuple(beside["a",]) == pytest.approx(astuple(alone["a",]))
    assert Bootstrap(EPISODES, 200, 4).means({("a",): one})["a",].low != alone["a",].low


def test_a_paired_difference_is_sure_where_two_intervals_overlap():
    hard = np.repeat(np.random.default_rng(3).uniform(1, 9, 20), 3)
    boot = Bootstrap(EPISODES, 500, 0)
    ours, other = table(0.9 * hard), table(hard)
    means = boot.means({("o",): ours, ("x",): other})
    assert means["o",].high > means["x",].low
    found = boot.relative(ours, other)
    assert found.value == pytest.approx(-0.1) and found.high == pytest.approx(-0.1)
    half = boot.closed(table(hard + 2), table(hard + 1), table(hard))
    assert (half.value, half.low, half.high) == pytest.approx((0.5, 0.5, 0.5))


def test_nothing_counted_is_not_a_number_and_wrong_sizes_are_refused():
    boot = Bootstrap(EPISODES, 100, 0)
    empty = np.zeros((60, 2))
    found = boot.means({("x",): empty})["x",]
    assert np.isnan([found.value, found.low, found.high]).all() and found.count == 0
    assert np.isnan(boot.relative(table(np.ones(60)), empty).value)
    with pytest.raises(ShapeError, match="59 scenes, expected 60"):
        boot.means({("x",): empty[1:]})
    assert boot.means({}) == {}
