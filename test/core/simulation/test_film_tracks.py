# SPDX-License-Identifier: Apache-2.0
"""Exact tracks: points stay in their bodies, and are seen where the pictures show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mu0_core.errors import DataError, ShapeError
from mu0_core.geometry import camera, se3
from mu0_core.simulation.film import FilmSettings, film
from mu0_core.simulation.film_tracks import anchor, positions, true_tracks
from mu0_core.simulation.film_truth import FilmTruth, load_truth


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> FilmTruth:
    folder = tmp_path_factory.mktemp("films") / "push"
    settings = FilmSettings("moving", frames=26, fps=5, width=240, height=180, noise=None)
    film(folder, "push_left", 49_001, settings)
    return load_truth(folder)


@pytest.fixture(scope="module")
def points(truth):
    rng = np.random.default_rng(0)
    query = rng.integers(0, len(truth), 400)
    uv = rng.uniform(-0.5, [239.49, 179.49], (400, 2))
    return query, uv, true_tracks(truth, query, uv)


def seen_by_camera(truth: FilmTruth, base_m: np.ndarray) -> np.ndarray:
    """Return u, v, z (P, T, 3) of points in the camera of each frame."""
    to_camera = se3.inverse(truth.T_base_camera)
    in_camera = np.einsum("tij,ptj->pti", to_camera[:, :3, :3], base_m) + to_camera[:, :3, 3]
    return camera.project(in_camera, truth.intrinsics)


def test_a_point_is_where_its_pixel_is_and_seen_there(truth, points):
    query, uv, tracks = points
    rows = np.arange(len(uv))
    at_query = seen_by_camera(truth, tracks.base_m)[rows, query]
    np.testing.assert_allclose(at_query[:, :2], uv, atol=1e-6)
    assert tracks.visible[rows, query].all() and (tracks.body >= 0).all()


def test_a_point_keeps_its_place_in_its_body(truth, points):
    _, _, tracks = points
    to_body = se3.inverse(truth.body_poses[:, tracks.body])  # (T, P, 4, 4)
    local = np.einsum("tpij,ptj->pti", to_body[..., :3, :3], tracks.base_m)
    local += np.moveaxis(to_body[..., :3, 3], 0, 1)
    np.testing.assert_allclose(local, np.repeat(local[:, :1], len(truth), 1), atol=1e-9)


def test_points_of_table_and_floor_are_on_them_between_pixels_too(points):
    _, _, tracks = points
    height = tracks.base_m[tracks.body == 0, 0, 2]
    off = np.minimum(abs(height), abs(height + 0.75))
    assert len(off) > 100 and np.median(off) < 1e-4 and (off < 2e-3).mean() > 0.98


def test_the_pushed_cube_s_points_move_and_the_others_do_not(truth):
    way = np.linalg.norm(truth.body_poses[-1, :, :3, 3] - truth.body_poses[0, :, :3, 3], axis=1)
    cubes = [k for k, name in enumerate(truth.body_names) if name.startswith("cube")]
    assert sorted(way[cubes] > 0.05) == [False, False, True]
    for cube in cubes:
        rows, columns = np.nonzero(truth.bodies(0) == cube)
        tracks = true_tracks(truth, 0, np.column_stack([columns, rows]))
        moved = np.linalg.norm(tracks.base_m[:, -1] - tracks.base_m[:, 0], axis=1)
        np.testing.assert_allclose(moved, way[cube], atol=0.02)  # it turns a little


def test_visible_points_are_shown_by_the_pictures_and_hidden_ones_are_behind_something(
    truth, points
):
    _, _, tracks = points
    uvz = seen_by_camera(truth, tracks.base_m)
    checked = covered = wrong = 0
    for frame in range(0, len(truth), 5):
        inside = ((uvz[:, frame, :2] > 0) & (uvz[:, frame, :2] < [239, 179])).all(axis=1)
        column, row = np.rint(uvz[inside, frame, :2]).astype(int).T
        shown = truth.bodies(frame)[row, column] == tracks.body[inside]
        z = uvz[inside, frame, 2]
        nearer = truth.depth_m(frame)[row, column] < z - 0.02 * np.maximum(1, z**2)
        seen = tracks.visible[inside, frame]
        assert shown[seen].mean() > 0.97  # the rest is beside an edge, a pixel away
        assert nearer[seen & shown].mean() < 0.01
        covered += (~shown & nearer).sum()
        wrong += seen[~shown & nearer].sum()
        checked += (~seen & nearer).sum()
        assert not tracks.visible[(uvz[:, frame, :2] < -0.5).any(axis=1), frame].any()
    assert checked > 20  # something was hidden
    assert wrong < 0.1 * covered


def test_a_face_that_turns_away_or_is_covered_is_not_visible(truth):
    arm = truth.body_names.index("fr3_hand")
    over = np.flatnonzero(
        (truth.bodies(len(truth) - 1) == arm) & (truth.bodies(0) == 0)
    )  # table now, hand at the end
    rows, columns = np.unravel_index(over[::5], (180, 240))
    tracks = true_tracks(truth, 0, np.column_stack([columns, rows]))
    uvz = seen_by_camera(truth, tracks.base_m)[:, -1]
    column, row = np.rint(uvz[:, :2]).astype(int).T
    behind = truth.bodies(len(truth) - 1)[row, column] == arm
    assert behind.sum() > 5 and tracks.visible[behind, 0].all()
    assert tracks.visible[behind, -1].mean() < 0.1


def test_some_frames_are_those_frames_of_all(truth, points):
    query, uv, tracks = points
    frames = np.array([3, 4, 20])
    some = true_tracks(truth, query, uv, frames)
    np.testing.assert_array_equal(some.base_m, tracks.base_m[:, frames])
    np.testing.assert_array_equal(some.visible, tracks.visible[:, frames])
    again = positions(truth, anchor(truth, query, uv), frames)
    np.testing.assert_array_equal(again, some.base_m)


def test_a_pixel_of_nothing_has_no_truth(truth, monkeypatch):
    def without_corner(self: FilmTruth, frame: int) -> np.ndarray:
        depth = read(self, frame)
        depth[:20, :20] = np.nan
        return depth

    read = FilmTruth.depth_m
    monkeypatch.setattr(FilmTruth, "depth_m", without_corner)
    tracks = true_tracks(truth, 0, np.array([[5.0, 5.0], [120.0, 150.0]]))
    assert tracks.body[0] == -1 and tracks.body[1] >= 0
    assert np.isnan(tracks.base_m[0]).all() and not tracks.visible[0].any()


@pytest.mark.parametrize(
    ("query", "uv", "frames", "message"),
    [
        (0, [[240.0, 3.0]], None, "outside the picture"),
        (0, [[np.nan, 3.0]], None, "not finite"),
        (26, [[5.0, 3.0]], None, r"query_frame 26..26 outside the film 0..25"),
        (0, [[5.0, 3.0]], [0, 26], "frames 0..26"),
        (0, [5.0, 3.0], None, r"expected \(P, 2\)"),
    ],
)
def test_what_lies_outside_the_film_is_refused(truth, query, uv, frames, message):
    with pytest.raises(ShapeError, match=message):
        true_tracks(truth, query, np.array(uv), frames if frames is None else np.array(frames))


def test_a_folder_without_truth_is_named(tmp_path: Path, truth):
    with pytest.raises(DataError, match="no film with truth"):
        load_truth(tmp_path)
    with pytest.raises(DataError, match="missing or broken"):
        truth.depth_m(99)
