# SPDX-License-Identifier: Apache-2.0
"""Collection: the seed decides everything, evaluation seeds are refused, no seed runs twice."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mu0_core.errors import SimulationError
from mu0_core.simulation.collection import (
    Outcome,
    check_training_seeds,
    collect_seed,
    is_collected,
)
from mu0_core.simulation.layout import FIRST_EVALUATION_SEED
from mu0_core.simulation.snapshot import SnapshotMaker
from mu0_core.simulation.snapshot_file import load_snapshot, snapshot_path
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


def test_a_snapshot_follows_from_its_seed_alone(tmp_path):
    worlds = [TableWorld(width=320, height=240) for _ in range(2)]
    used, fresh = map(SnapshotMaker, worlds)
    try:
        assert collect_seed(used, tmp_path / "a", 7) is Outcome.RECORDED  # leaves another state
        assert collect_seed(used, tmp_path / "a", 8) is Outcome.RECORDED
        assert collect_seed(used, tmp_path / "a", 8) is Outcome.PRESENT
        assert collect_seed(fresh, tmp_path / "b", 8) is Outcome.RECORDED
    finally:
        for world in worlds:
            world.close()
    one, two = (load_snapshot(snapshot_path(tmp_path / k, 8)) for k in "ab")
    np.testing.assert_array_equal(one.rgb, two.rgb)
    assert [f.instruction for f in one.futures] == [f.instruction for f in two.futures]
    np.testing.assert_array_equal(one.futures[0].tracks_m, two.futures[0].tracks_m)


def test_a_failed_seed_is_marked_and_not_tried_again(tmp_path):
    calls = []
    maker = SimpleNamespace(make=calls.append)  # returns None: no snapshot
    assert collect_seed(maker, tmp_path, 4) is Outcome.FAILED
    assert is_collected(tmp_path, 4) and not is_collected(tmp_path, 5)
    assert collect_seed(maker, tmp_path, 4) is Outcome.PRESENT
    assert len(calls) == 1
