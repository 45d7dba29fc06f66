# SPDX-License-Identifier: Apache-2.0
"""A result is computed once for its source, settings and everything before it."""

from dataclasses import dataclass

import numpy as np
import pytest

from mu0_core.trace_extract.stage_cache import StageCache


@dataclass(frozen=True)
class Result:
    values: np.ndarray
    source: str
    extra: np.ndarray | None = None


class Counted:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return Result(np.arange(3) + self.calls, "made")


@pytest.fixture
def compute():
    return Counted()


def test_the_second_run_reads_what_the_first_one_made(tmp_path, compute):
    results = [
        StageCache(tmp_path, "film").get("tracks-1", {"a": 1}, Result, compute) for _ in range(2)
    ]
    assert compute.calls == 1
    np.testing.assert_array_equal(results[0].values, results[1].values)
    assert results[1].source == "made" and results[1].extra is None


@pytest.mark.parametrize(
    "change",
    [("film b", "tracks-1", 1), ("film", "tracks-2", 1), ("film", "tracks-1", 2)],
)
def test_another_source_version_or_setting_computes_again(tmp_path, compute, change):
    StageCache(tmp_path, "film").get("tracks-1", 1, Result, compute)
    source, stage, settings = change
    StageCache(tmp_path, source).get(stage, settings, Result, compute)
    assert compute.calls == 2


def test_a_change_in_an_earlier_stage_reaches_the_later_ones(tmp_path):
    first, second = Counted(), Counted()
    for setting in (1, 2):
        cache = StageCache(tmp_path, "film")
        cache.get("camera-1", setting, Result, first)
        cache.get("tracks-1", "same", Result, second)
    assert (first.calls, second.calls) == (2, 2)


def test_a_file_cut_short_is_computed_again(tmp_path, compute):
    StageCache(tmp_path, "film").get("tracks-1", 1, Result, compute)
    path = tmp_path / "tracks-1.npz"
    path.write_bytes(path.read_bytes()[:100])
    StageCache(tmp_path, "film").get("tracks-1", 1, Result, compute)
    assert compute.calls == 2


def test_a_stage_that_fails_leaves_nothing(tmp_path):
    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        StageCache(tmp_path, "film").get("tracks-1", 1, Result, fail)
    assert not list(tmp_path.iterdir())
