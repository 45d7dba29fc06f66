# SPDX-License-Identifier: Apache-2.0
"""Which rows may be drawn, and that a draw keeps its bounds."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.data.episode import EpisodeReader, Slot
from mu0_core.data.sampling import (
    SamplingSettings,
    draw_rows,
    eligible_rows,
    headline_slots,
    to_uvz,
    usable_slots,
    why_unusable,
)
from mu0_core.errors import ConfigError

SIZE = (100, 50)


def make_slot(rows=6):
    """All rows move right by a pixel a step, from the middle of the image."""
    start = np.broadcast_to(np.float32([50, 25, 1]), (rows, 3))
    step = np.float32([1, 0, 0])
    future = start[:, None] + np.arange(33, dtype=np.float32)[:, None] * step
    history = start[:, None] - np.arange(9, dtype=np.float32)[:, None] * step
    return Slot(
        0,
        future,
        np.ones((rows, 33), bool),
        history,
        np.ones((rows, 9), bool),
        np.ones(rows, bool),
        np.zeros(rows, np.int64),
    )


def eligible(slot, **settings):
    return eligible_rows(slot, SamplingSettings(**settings), *SIZE).tolist()


def test_the_corners_of_the_image_are_the_corners_of_uv():
    points = np.array([[0, 0, 2.0], [100, 50, 3.0], [50, 25, 4.0]])
    np.testing.assert_allclose(to_uvz(points, *SIZE), [[-1, -1, 2], [1, 1, 3], [0, 0, 4]])


def test_rows_need_motion_an_anchor_in_the_image_and_enough_future():
    slot = make_slot()
    slot.is_moving[0] = False
    slot.valid_history[1, 0] = False
    slot.history[2, 0, 0] = 101
    slot.valid_future[3, 10:] = False  # nine steps behind column 0
    slot.valid_future[4, 11:] = False
    assert eligible(slot) == [4, 5]
    assert eligible(slot, n_ctrl=None) == [3, 4, 5]


def test_small_motions_are_left_out_unless_all_are_small():
    slot = make_slot()
    slot.future[:4, :, 0] = 50 + 0.1 * np.arange(33)
    assert eligible(slot, min_future_motion=0.3) == [4, 5]
    assert eligible(slot, min_future_motion=5.0) == [0, 1, 2, 3, 4, 5]


def test_a_slot_without_a_valid_anchor_is_not_usable():
    slot = make_slot()
    slot.history[:] = -np.inf
    slot.valid_history[:] = False
    assert why_unusable(slot, SamplingSettings(n_ctrl=None), *SIZE)


def test_a_slot_needs_enough_moving_rows():
    slot = make_slot()
    slot.is_moving[2:] = False
    assert why_unusable(slot, SamplingSettings(n_min=2), *SIZE) is None
    assert why_unusable(slot, SamplingSettings(n_min=3), *SIZE) == "fewer than 3 moving points"


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 30), st.integers(0, 999))
def test_a_draw_keeps_its_bounds_and_repeats_with_its_seed(count, n_min, more, seed):
    settings, pool = SamplingSettings(n_min, n_min + more), np.arange(count) * 3
    rows = draw_rows(pool, settings, np.random.default_rng(seed))
    assert min(n_min, count) <= len(rows) <= min(n_min + more, count)
    assert len(set(rows)) == len(rows) and set(rows) <= set(pool)
    np.testing.assert_array_equal(rows, draw_rows(pool, settings, np.random.default_rng(seed)))


def test_every_count_is_drawn():
    counts = {len(draw_rows(np.arange(9), SamplingSettings(2, 5), rng)) for rng in generators(60)}
    assert counts == {2, 3, 4, 5}


def generators(count):
    return (np.random.default_rng(k) for k in range(count))


def test_headline_slots_are_counted_by_time(episode_dir):
    episode = EpisodeReader(episode_dir)
    usable = usable_slots(episode, SamplingSettings())
    assert usable == [0, 1, 2]
    assert headline_slots(episode, usable[::-1], offsets=(0, 2, 9)) == [0, 2]


def test_bad_settings_are_named():
    for change, named in (
        ({"n_min": 0}, "n_min"),
        ({"n_max": 0}, "n_max"),
        ({"n_ctrl": 0}, "n_ctrl"),
        ({"min_future_motion": -1.0}, "motion"),
    ):
        with pytest.raises(ConfigError, match=named):
            dataclasses.replace(SamplingSettings(), **change)
    with pytest.raises(ConfigError, match="no eligible row"):
        draw_rows(np.array([], int), SamplingSettings(), np.random.default_rng(0))
