# SPDX-License-Identifier: Apache-2.0
"""Pixels become points in the world where depth is known, and come back as the same pixels."""

from dataclasses import replace

import numpy as np

from mu0_core.trace_extract.backends.lifting import (
    depth_of_tracks,
    lift_queries,
    nearest_known,
    tracks_from_pixels,
    tracks_from_world,
)


def test_pixels_lift_to_the_true_world(clip, make_keypoints):
    queries = make_keypoints([0, 7], [(30, 20), (25.5, 18.25)])
    uv = clip.pixels(queries)
    tracks = tracks_from_pixels(uv, np.ones(uv.shape[:2], bool), clip.geometry, queries)
    assert tracks.visible.all()
    np.testing.assert_allclose(tracks.world_m, clip.world(queries), atol=1e-5)
    assert tracks.query_frame.tolist() == [0, 7] and tracks.cluster_ids.tolist() == [0, 1]


def test_world_and_back_is_the_identity(clip, make_keypoints):
    queries = make_keypoints([0, 7], [(30, 20), (25, 18)])
    uv = clip.pixels(queries)
    seen = np.ones(uv.shape[:2], bool)
    there = tracks_from_pixels(uv, seen, clip.geometry, queries)
    back = tracks_from_world(there.world_m, seen, clip.geometry, queries)
    np.testing.assert_allclose(back.uv_px, uv, atol=1e-3)


def test_what_is_not_seen_is_nan(clip, make_keypoints):
    queries = make_keypoints([0], [(30, 20)])
    uv = clip.pixels(queries)
    seen = np.ones(uv.shape[:2], bool)
    seen[0, 5] = False
    tracks = tracks_from_pixels(uv, seen, clip.geometry, queries)
    assert not tracks.visible[0, 5] and tracks.visible.sum() == len(clip.rgb) - 1
    assert np.isnan(tracks.uv_px[0, 5]).all() and np.isnan(tracks.world_m[0, 5]).all()


def test_outside_the_image_is_not_seen(clip, make_keypoints):
    queries = make_keypoints([0], [(60, 20)])  # the motion takes it over the right edge
    uv = clip.pixels(queries)
    seen = np.ones(uv.shape[:2], bool)
    tracks = tracks_from_pixels(uv, seen, clip.geometry, queries)
    outside = uv[0, :, 0] >= 63.5
    assert outside.any() and not tracks.visible[0, outside].any()
    behind = np.tile([0.0, 0.0, -1.0], (1, len(clip.rgb), 1))
    assert not tracks_from_world(behind, seen, clip.geometry, queries).visible.any()


def test_unknown_depth_is_not_seen(clip, make_keypoints):
    depth = clip.geometry.depth_m.copy()
    depth[3] = np.nan
    queries = make_keypoints([0], [(30, 20)])
    uv = clip.pixels(queries)
    geometry = replace(clip.geometry, depth_m=depth)
    tracks = tracks_from_pixels(uv, np.ones(uv.shape[:2], bool), geometry, queries)
    assert (~tracks.visible[0]).nonzero()[0].tolist() == [3]


def test_at_an_edge_the_surface_is_the_one_of_the_clear_sight():
    depth = np.full((4, 20, 20), 0.5)
    depth[:, :, 10:] = 0.9  # two surfaces; the edge is at column 9.5
    uv = np.array([[[5.0, 8], [9, 8], [9, 8], [9, 8]], [[14.0, 8], [10, 8], [9, 8], [14, 8]]])
    z = depth_of_tracks(uv, np.ones((2, 4), bool), depth)
    np.testing.assert_allclose(z[0], 0.5)  # seen clearly on the near one before
    np.testing.assert_allclose(z[1, [0, 1, 3]], 0.9)


def test_a_point_only_ever_seen_at_an_edge_has_no_depth():
    depth = np.full((2, 20, 20), 0.5)
    depth[:, :, 10:] = 0.9
    z = depth_of_tracks(np.full((1, 2, 2), 9.5), np.ones((1, 2), bool), depth)
    assert np.isnan(z).all()


def test_noise_is_halved_by_the_median():
    rng = np.random.default_rng(0)
    depth = 0.8 + rng.normal(0, 0.004, (30, 40, 40)).astype(np.float32)
    uv = rng.uniform(5, 34, (40, 30, 2))
    z = depth_of_tracks(uv, np.ones((40, 30), bool), depth)
    assert np.nanstd(z) < 0.002
    assert np.isfinite(z).mean() > 0.99


def test_nearest_known_fills_from_both_sides():
    nan = np.nan
    values = np.array([[nan, 1.0, nan, nan, 4.0, nan], [nan] * 6])
    filled = nearest_known(values)
    assert filled[0].tolist() == [1, 1, 1, 4, 4, 4]
    assert np.isnan(filled[1]).all()


def test_queries_lift_at_their_own_frame(clip, make_keypoints):
    queries = make_keypoints([0, 7, 7], [(30, 20), (25, 18), (0, 0)])
    world = lift_queries(queries, clip.geometry)
    true = clip.world(queries)[np.arange(3), queries.frame]
    np.testing.assert_allclose(world[:2], true[:2], atol=1e-5)
    assert np.isnan(world[2]).all()  # the corner has no whole window
