# SPDX-License-Identifier: Apache-2.0
"""Distances between segments, boxes and points agree with a search over points on them."""

import numpy as np
import pytest

from mu0_core.robot.capsules import box_distance, point_distance, segment_distance

RNG = np.random.default_rng(0)
SHARES = np.linspace(0, 1, 201)


def on(segment: np.ndarray) -> np.ndarray:
    return segment[0] + SHARES[:, None] * (segment[1] - segment[0])


def searched(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.linalg.norm(on(first)[:, None] - on(second)[None], axis=2).min())


@pytest.mark.parametrize("kind", ["any", "parallel", "points", "crossing", "in a row"])
def test_segment_distance_is_the_least_over_their_points(kind):
    for _ in range(40):
        first, second = RNG.uniform(-1, 1, (2, 2, 3))
        if kind == "parallel":
            second = first + RNG.normal(0, 1, 3) * [1, 1, 1]
        elif kind == "points":
            second[1] = second[0]
        elif kind == "crossing":
            middle = on(first)[RNG.integers(200)]
            second = middle + np.outer([-1, 1], RNG.normal(0, 1, 3))
        elif kind == "in a row":
            second = first + 1.5 * (first[1] - first[0])
        got = segment_distance(first, second)
        assert searched(first, second) - 0.02 <= got <= searched(first, second) + 1e-9
        assert got == pytest.approx(segment_distance(second, first), abs=1e-9)
        assert got == pytest.approx(segment_distance(first[::-1], second), abs=1e-9)


def test_point_distance_is_that_of_a_segment_without_length():
    segments, points = RNG.normal(0, 1, (50, 2, 3)), RNG.normal(0, 1, (50, 3))
    same = segment_distance(segments, np.stack([points, points], axis=1))
    np.testing.assert_allclose(point_distance(segments, points), same, atol=1e-9)


def test_box_distance_is_that_of_a_search_along_the_segment():
    for k in range(200):
        segment, half = RNG.uniform(-2, 2, (2, 3)), RNG.uniform(0.05, 1, 3)
        if k % 4 == 0:
            segment[1, k // 4 % 3] = segment[0, k // 4 % 3]  # parallel to a face
        if k % 20 == 0:
            segment[1] = segment[0]  # without length
        outside = np.maximum(np.abs(on(segment)) - half, 0)
        searched_m = np.linalg.norm(outside, axis=1).min()
        step_m = np.linalg.norm(segment[1] - segment[0]) / (len(outside) - 1)
        got = float(box_distance(segment, half))
        assert searched_m - step_m <= got <= searched_m + 1e-9


def test_arrays_are_taken_as_a_whole():
    first, second = RNG.normal(0, 1, (4, 5, 2, 3)), RNG.normal(0, 1, (5, 2, 3))
    got = segment_distance(first, second)
    assert got.shape == (4, 5)
    assert got[2, 3] == pytest.approx(float(segment_distance(first[2, 3], second[3])))
    assert box_distance(first, np.ones(3)).shape == (4, 5)
