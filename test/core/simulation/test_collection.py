# SPDX-License-Identifier: Apache-2.0
"""Collection: the seed decides everything, evaluation seeds are refused, no seed runs twice."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mu0_core.errors import SimulationError
from mu0_core.simulation import collection
from mu0_core.simulation.collection import (
    Outcome,
    check_training_seeds,
    collect_seed,
    is_collected,
    task_of_seed,
)
from mu0_core.simulation.layout import FIRST_EVALUATION_SEED
from mu0_core.simulation.recording_file import load_recording, recording_path
from mu0_core.simulation.tasks import TASKS
from mu0_core.simulation.world import TableWorld


@pytest.mark.parametrize(
    ("first", "count"),
    [(FIRST_EVALUATION_SEED, 1), (FIRST_EVALUATION_SEED - 1, 2), (-1, 3), (0, 0)],
)
def test_evaluation_seeds_are_refused(first, count):
    with pytest.raises(SimulationError, match="50000"):
        check_training_seeds(first, count)


def test_the_last_training_seed_is_allowed():
    assert list(check_training_seeds(FIRST_EVALUATION_SEED - 2, 2)) == [49_998, 49_999]


def test_tasks_come_in_the_stated_proportions():
    counts = Counter(task_of_seed(seed) for seed in range(2000))
    assert set(counts) == set(TASKS)
    total = sum(collection.TASK_WEIGHTS.values())
    for name, weight in collection.TASK_WEIGHTS.items():
        assert counts[name] / 2000 == pytest.approx(weight / total, abs=0.04)


def test_a_demonstration_follows_from_its_seed_alone(tmp_path):
    used, fresh = (TableWorld(width=320, height=240) for _ in range(2))
    try:
        assert collect_seed(used, tmp_path / "a", 7) is Outcome.FAILED  # leaves another state
        assert collect_seed(used, tmp_path / "a", 8) is Outcome.RECORDED
        assert collect_seed(used, tmp_path / "a", 8) is Outcome.PRESENT
        assert collect_seed(fresh, tmp_path / "b", 8) is Outcome.RECORDED
    finally:
        used.close(), fresh.close()
    one, two = (load_recording(recording_path(tmp_path / k, 8)) for k in "ab")
    np.testing.assert_array_equal(one.body_poses, two.body_poses)
    np.testing.assert_array_equal(one.frames[0].rgb, two.frames[0].rgb)


def test_a_failed_seed_is_marked_and_not_tried_again(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(collection, "record", lambda *args: calls.append(args))
    assert collect_seed(None, tmp_path, 4) is Outcome.FAILED
    assert is_collected(tmp_path, 4) and not is_collected(tmp_path, 5)
    assert collect_seed(None, tmp_path, 4) is Outcome.PRESENT
    assert len(calls) == 1
