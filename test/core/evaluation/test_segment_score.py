# SPDX-License-Identifier: Apache-2.0
"""Boundaries are paired once, as many as possible, within the tolerance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from mu0_core.errors import DataError, ShapeError
from mu0_core.evaluation.segment_score import halts, inner_boundaries, score_boundaries

frames = st.lists(st.integers(0, 60), max_size=8).map(np.array)


@given(frames, frames, st.integers(0, 12))
def test_as_many_pairs_as_possible_are_made(found, true, tolerance):
    near = np.abs(np.subtract.outer(found, true)) <= tolerance
    pairs = maximum_bipartite_matching(csr_array(near)) if near.size else np.array([])
    assert score_boundaries([found], [true], tolerance).matched == (pairs >= 0).sum()


@given(frames, frames, st.integers(0, 12))
def test_the_score_is_symmetric_and_grows_with_the_tolerance(found, true, tolerance):
    score = score_boundaries([found], [true], tolerance)
    other = score_boundaries([true], [found], tolerance)
    assert score.matched == other.matched
    assert score.matched <= score_boundaries([found], [true], tolerance + 1).matched


def test_clips_are_pooled_and_never_mixed():
    found = [np.array([10, 50]), np.array([30])]
    true = [np.array([12]), np.array([50, 33])]
    score = score_boundaries(found, true, 3)
    assert (score.matched, score.found, score.true) == (2, 3, 3)
    assert score.precision == score.recall == score.f1 == pytest.approx(2 / 3)
    assert score.offset == 2.5


def test_one_true_boundary_answers_for_one_found_only():
    score = score_boundaries([np.array([10, 11, 12])], [np.array([11])], 5)
    assert (score.matched, score.precision, score.recall) == (1, pytest.approx(1 / 3), 1.0)


def test_a_cut_anywhere_in_a_halt_is_right():
    stretch = [np.array([[10, 20]])]
    scores = {f: score_boundaries([np.array([f])], stretch, 3) for f in (6, 7, 10, 15, 20, 23, 24)}
    assert [s.matched for s in scores.values()] == [0, 1, 1, 1, 1, 1, 0]
    assert scores[7].offset == scores[23].offset == 3 and scores[15].offset == 0


def test_two_cuts_in_one_halt_are_one_too_many():
    score = score_boundaries([np.array([12, 18])], [np.array([[10, 20]])], 3)
    assert (score.matched, score.precision, score.recall) == (1, 0.5, 1.0)


def test_halts_are_the_stretches_between_motions():
    assert halts([(0, 12), (25, 50), (51, 60), (70, 71)]).tolist() == [[13, 25], [61, 70]]
    assert halts([(0, 12), (25, 50)], min_frames=14).shape == (0, 2)
    assert halts([]).shape == (0, 2)


def test_nothing_found_and_nothing_true_is_not_perfect_but_unknown():
    score = score_boundaries([np.array([])], [np.array([])], 5)
    assert np.isnan([score.f1, score.precision, score.recall, score.offset]).all()


def test_boundaries_are_the_first_frames_behind_the_first_segment():
    bounds = np.array([[3, 30], [31, 70], [71, 90]])
    assert inner_boundaries(bounds).tolist() == [31, 71]
    assert inner_boundaries(np.empty((0, 2), int)).size == 0


@pytest.mark.parametrize(
    "found, true, tolerance, error, message",
    [
        ([np.array([1])], [], 3, ShapeError, "1 clips found, 0 true ones"),
        ([np.array([[1]])], [np.array([1])], 3, ShapeError, r"expected \(n,\)"),
        ([np.array([1])], [np.array([[1, 2, 3]])], 3, ShapeError, r"expected \(n,\) or \(n, 2\)"),
        ([np.array([1])], [np.array([1])], -1, DataError, "tolerance -1"),
        ([np.array([1])], [np.array([[4, 2]])], 3, DataError, "must end behind their start"),
        ([np.array([1])], [np.array([[1, 5], [4, 6]])], 3, DataError, "not overlap"),
        ([np.array([np.nan])], [np.array([1])], 3, DataError, "NaN or infinite"),
    ],
)
def test_bad_input_is_named(found, true, tolerance, error, message):
    with pytest.raises(error, match=message):
        score_boundaries(found, true, tolerance)


def test_bounds_that_are_no_pairs_are_refused():
    with pytest.raises(ShapeError, match=r"expected \(S, 2\)"):
        inner_boundaries(np.arange(4))
