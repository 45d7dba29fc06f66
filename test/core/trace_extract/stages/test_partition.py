# SPDX-License-Identifier: Apache-2.0
"""The cuts are the cheapest that the lengths allow: compared with trying all of them."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import ConfigError, ShapeError
from mu0_core.trace_extract.stages.partition import cheapest_cuts


def lengths_of(cuts, count):
    return np.diff([0, *cuts, count])


def cheapest_of_all(cost, low, high, parts):
    """Return the least cost over every allowed set of cuts."""
    count = len(cost)
    allowed = [
        sum(cost[c] for c in cuts)
        for k in range(parts)
        for cuts in combinations(range(1, count), k)
        if all(low <= n <= high for n in lengths_of(cuts, count))
    ]
    return min(allowed)


@given(
    cost=st.lists(st.floats(-2, 2), min_size=4, max_size=13),
    low=st.integers(1, 4),
    more=st.integers(0, 4),
    parts=st.integers(1, 4),
)
def test_no_allowed_cuts_are_cheaper(cost, low, more, parts):
    cost, high = np.array(cost), 2 * low + more
    cuts = cheapest_cuts(cost, low, high, parts)
    if len(cost) < 2 * low:
        assert cuts == []
        return
    needed = max(parts, -(-len(cost) // high))
    assert len(cuts) < needed
    assert all(low <= n <= high for n in lengths_of(cuts, len(cost)))
    assert cost[cuts].sum() == pytest.approx(cheapest_of_all(cost, low, high, needed))


def test_a_wanted_cut_is_made_and_an_unwanted_one_only_where_a_part_is_too_long():
    cost = np.ones(100)
    assert cheapest_cuts(cost, 10, 100, 6) == []
    cost[40] = -0.5
    assert cheapest_cuts(cost, 10, 100, 6) == [40]
    assert cheapest_cuts(cost, 10, 59, 6)[0] == 40  # 60 frames are left: one more cut
    assert len(cheapest_cuts(cost, 10, 59, 6)) == 2


def test_a_wanted_cut_too_near_the_end_is_left_out():
    cost = np.ones(60)
    cost[[5, 30, 55]] = -1
    assert cheapest_cuts(cost, 10, 60, 6) == [30]


def test_a_row_longer_than_all_parts_gets_more_of_them():
    cuts = cheapest_cuts(np.ones(1000), 10, 100, 3)
    assert len(cuts) == 9 and (lengths_of(cuts, 1000) == 100).all()


@pytest.mark.parametrize("low, high, parts", [(0, 4, 1), (5, 9, 1), (2, 4, 0)])
def test_lengths_that_cannot_fit_are_refused(low, high, parts):
    with pytest.raises(ConfigError, match="not possible"):
        cheapest_cuts(np.ones(20), low, high, parts)


@pytest.mark.parametrize("cost", [np.ones((2, 3)), np.ones(0)])
def test_a_cost_that_is_no_row_is_refused(cost):
    with pytest.raises(ShapeError, match="expected"):
        cheapest_cuts(cost, 1, 4, 2)
