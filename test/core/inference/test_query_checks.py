# SPDX-License-Identifier: Apache-2.0
"""Query points of a client: what fits is kept, what is unseen dropped, the rest refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import NoQueryPointsError, ObservationError, RequestError
from mu0_core.inference.query_checks import checked_query
from mu0_core.types import CameraIntrinsics, QueryPoints, RgbdFrame

WIDTH, HEIGHT = 40, 30


def frame(depth_m=1.0) -> RgbdFrame:
    depth = np.full((HEIGHT, WIDTH), depth_m, np.float32)
    camera = CameraIntrinsics(WIDTH, HEIGHT, 30.0, 30.0, 19.5, 14.5)
    return RgbdFrame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), depth, camera, "camera", 1)


def points(uv, depth_m=np.nan, width=WIDTH, height=HEIGHT) -> QueryPoints:
    uv = np.asarray(uv, np.float32).reshape(-1, 2)
    n = len(uv)
    return QueryPoints(
        uv,
        np.broadcast_to(np.float32(depth_m), n).copy(),
        np.arange(n, dtype=np.uint32),
        np.zeros(n, np.uint16),
        np.zeros(n, np.uint8),
        width,
        height,
    )


@given(st.lists(st.tuples(st.floats(-0.5, 39.5), st.floats(-0.5, 29.5)), min_size=1, max_size=32))
def test_every_point_of_the_image_is_kept_with_the_depth_of_its_pixel(uv):
    image = frame()
    image.depth_m[:] = 1 + np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) / 1000
    kept = checked_query(points(uv), image, 32)
    assert len(kept) == len(uv)
    column, row = np.clip(np.round(kept.uv_px), 0, [WIDTH - 1, HEIGHT - 1]).astype(int).T
    np.testing.assert_array_equal(kept.depth_m, image.depth_m[row, column])


def test_depth_of_the_client_wins_and_points_without_any_are_dropped():
    image = frame()
    image.depth_m[:, :10] = np.nan
    query = replace(
        points([[2, 2], [3, 3], [20, 20]]), depth_m=np.array([0.7, np.nan, np.nan], np.float32)
    )
    kept = checked_query(query, image, 32)
    np.testing.assert_array_equal(kept.ids, [0, 2])
    np.testing.assert_allclose(kept.depth_m, [0.7, 1.0])


@pytest.mark.parametrize("depth_m", [np.nan, 0.0, -1.0, np.inf])
def test_all_invisible_is_refused(depth_m):
    with pytest.raises(NoQueryPointsError, match="none of 2"):
        checked_query(points([[5, 5], [6, 6]]), frame(depth_m), 32)


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        (points(np.zeros((0, 2))), NoQueryPointsError, "0 query points"),
        (points(np.zeros((33, 2))), RequestError, "at most 32"),
        (points([[5, 5]], width=640), ObservationError, "640x30"),
        (points([[40, 5]]), RequestError, "outside the 40x30"),
        (points([[5, -0.6]]), RequestError, "outside"),
        (points([[np.nan, 5]]), RequestError, "outside"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(query, error, words):
    with pytest.raises(error, match=words):
        checked_query(query, frame(), 32)
