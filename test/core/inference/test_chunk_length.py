# SPDX-License-Identifier: Apache-2.0
"""How much of a chunk is executed: up to its final rest."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.inference.trace_action_expert import steps_to_rest

OPEN, CLOSED = 0.08, 0.0


def actions(moving: int, opening, steps: int = 24) -> np.ndarray:
    """Return a tip that moves 2 cm a step for ``moving`` steps and then rests."""
    tip = np.zeros((steps, 3))
    tip[:, 0] = 0.02 * np.minimum(np.arange(1, steps + 1), moving)
    return np.column_stack([tip, np.broadcast_to(opening, steps)])


@pytest.mark.parametrize(("moving", "wanted"), [(24, 24), (23, 23), (10, 10), (1, 4), (0, 4)])
def test_what_follows_the_last_motion_is_left_out(moving, wanted):
    assert steps_to_rest(actions(moving, OPEN), 0.04) == wanted


def test_a_trembling_rest_is_a_rest():
    chunk = actions(10, OPEN)
    chunk[10:, :3] += np.random.default_rng(0).uniform(-0.001, 0.001, (14, 3))
    assert steps_to_rest(chunk, 0.04) in (10, 11)


@pytest.mark.parametrize(("turn", "wanted"), [(12, 17), (22, 24), (2, 10)])
def test_fingers_are_given_time_to_close(turn, wanted):
    opening = np.where(np.arange(24) < turn, OPEN, CLOSED)
    assert steps_to_rest(actions(10, opening), 0.04) == wanted


def test_a_short_chunk_is_executed_whole():
    assert steps_to_rest(actions(0, OPEN, steps=3), 0.04) == 3
