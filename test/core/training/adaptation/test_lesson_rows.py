# SPDX-License-Identifier: Apache-2.0
"""Rows of a lesson: known at every step, from now to the end of the motion."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.data.episode import Slot
from mu0_core.errors import ConfigError
from mu0_core.training.adaptation.lesson_rows import (
    LessonSettings,
    in_turn,
    joined,
    known_still_rows,
    motion_steps,
    moving_rows,
    still_rows,
)

COLUMNS = 33


def slot(last: list[int], moving: list[bool], clusters: list[int] | None = None) -> Slot:
    """Rows that go 2 px right and 1 px down a column, each seen up to a column of its own."""
    rows = len(last)
    start = np.arange(3 * rows, dtype=np.float32).reshape(rows, 3) + 10
    way = np.arange(COLUMNS, dtype=np.float32)[:, None] * np.float32([2, 1, 0.5])
    future = start[:, None] + np.where(np.array(moving)[:, None, None], way, 0)
    valid = np.arange(COLUMNS) <= np.array(last)[:, None]
    future[~valid] = -np.inf
    history, known = future[:, :1], valid[:, :1]
    ids = np.arange(rows) if clusters is None else np.array(clusters)
    return Slot(7, future, valid, history, known, np.array(moving), ids)


def rows_of(some: Slot, **settings):
    return moving_rows(some, LessonSettings(**settings), np.random.default_rng(0))


def test_the_motion_lasts_as_long_as_anything_that_moves_is_seen():
    assert motion_steps(slot([5, 20, 32], [True, True, False])) == 20
    assert motion_steps(slot([5, 20], [False, False])) == 0


def test_a_point_that_was_lost_on_the_way_is_not_taken_for_one_that_stopped():
    found = rows_of(slot([20, 8, 18], [True, True, True]))
    assert sorted(found.cluster_ids) == [0, 2]
    assert len(rows_of(slot([20, 8, 18], [True, True, True]), complete=0.3)) == 3


def test_a_short_gap_is_bridged_by_a_straight_line_and_the_end_is_held():
    some = slot([20, 18], [True, True])
    whole = some.future[0, :21].copy()
    some.valid_future[0, 5:9] = False
    some.future[0, 5:9] = -np.inf
    found = rows_of(some)
    paths = {int(c): path for c, path in zip(found.cluster_ids, found.future)}
    assert paths[0].shape == (21, 3)
    np.testing.assert_allclose(paths[0], whole, atol=1e-5)
    np.testing.assert_allclose(paths[1][18:], np.repeat(some.future[1, 18:19], 3, axis=0))


def test_a_motion_that_is_too_short_for_the_fit_is_held_at_its_end():
    found = rows_of(slot([3], [True]))
    assert found.future.shape == (1, 11, 3)
    np.testing.assert_allclose(np.diff(found.future[0, :4], axis=0), [[2, 1, 0.5]] * 3)
    np.testing.assert_array_equal(found.future[0, 3:], np.repeat(found.future[0, 3:4], 8, 0))


def test_no_row_without_motion():
    assert not len(rows_of(slot([9, 9], [False, False])))


def test_every_entity_has_its_turn_before_one_has_two():
    clusters = np.array([4] * 30 + [5] * 2 + [6])
    for seed in range(5):
        chosen = in_turn(np.arange(33), clusters, 5, np.random.default_rng(seed))
        assert sorted(clusters[chosen]) == [4, 4, 5, 5, 6]
        assert len(set(chosen)) == 5
    assert not len(in_turn(np.arange(0), clusters, 5, np.random.default_rng(0)))


def test_what_the_slot_says_rests_stays_at_its_anchor():
    some = slot([20, 32, 32], [True, False, False])
    found = known_still_rows(some, 12, LessonSettings(still=1), np.random.default_rng(0))
    assert found.future.shape == (1, 12, 3) and not found.moves.any()
    row = int(found.cluster_ids[0])
    np.testing.assert_array_equal(found.future[0], np.repeat(some.future[row, :1], 12, axis=0))


def test_joined_rows_keep_their_order():
    moving = rows_of(slot([12], [True]))
    still = still_rows(np.ones((2, 3)), 13, np.array([-1, -1]))
    both = joined(moving, still)
    assert both.future.shape == (3, 13, 3) and len(both) == 3
    assert both.moves.tolist() == [True, False, False]
    assert both.cluster_ids.tolist() == [0, -1, -1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"moving": 0}, "moving 0"),
        ({"min_steps": 0}, "min_steps 0"),
        ({"clear_m": 0}, "clear_m 0"),
        ({"complete": 1.5}, "complete 1.5"),
    ],
)
def test_impossible_settings_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        LessonSettings(**values)
