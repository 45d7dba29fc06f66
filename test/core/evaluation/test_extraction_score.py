# SPDX-License-Identifier: Apache-2.0
"""The score of a clip: what is exact scores everything, what is off scores what it is off by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mu0_core.errors import DataError, ShapeError
from mu0_core.evaluation.extraction_score import score_clip
from mu0_core.geometry import camera, se3
from mu0_core.simulation.film import FilmSettings, film
from mu0_core.simulation.film_tracks import true_tracks
from mu0_core.simulation.film_truth import load_truth
from mu0_core.trace_extract.records import CameraPath, Geometry, Tracks

KEPT = np.arange(0, 52, 2)  # a reader that keeps every other frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "push"
    settings = FilmSettings("moving", frames=52, width=240, height=180, noise=None)
    film(folder, "push_left", 49_001, settings)
    return folder


@pytest.fixture(scope="module")
def exact(folder) -> tuple[Tracks, Geometry]:
    """Tracks on a grid over the first and a later frame, as a perfect extraction has them."""
    truth = load_truth(folder)
    grid = np.stack(np.meshgrid(np.arange(4, 240, 8), np.arange(4, 180, 8)), axis=-1)
    uv = np.tile(grid.reshape(-1, 2).astype(float), (2, 1))
    query = np.repeat([0, 14], len(uv) // 2).astype(np.int32)
    true = true_tracks(truth, KEPT[query], uv, KEPT)
    cameras = truth.T_base_camera[KEPT]
    poses = se3.inverse(cameras[0]) @ cameras
    world = se3.apply(se3.inverse(cameras[0]), true.base_m)
    to_camera = se3.inverse(poses)
    here = np.einsum("tij,ptj->pti", to_camera[:, :3, :3], world) + to_camera[:, :3, 3]
    seen = true.visible[..., None]
    tracks = Tracks(
        uv_px=np.where(seen, camera.project(here, truth.intrinsics)[..., :2], np.nan),
        world_m=np.where(seen, world, np.nan),
        visible=true.visible,
        cluster_ids=true.body.astype(np.int32),
        query_frame=query,
    )
    depth = np.zeros((len(KEPT), 1, 1), np.float32)
    path = CameraPath(poses, np.zeros(len(KEPT)), "icp")
    return tracks, Geometry(depth, truth.intrinsics, path, "sensor")


def with_poses(geometry: Geometry, poses: np.ndarray) -> Geometry:
    return replace(geometry, path=replace(geometry.path, T_world_camera=poses))


def test_an_exact_extraction_scores_everything(folder, exact):
    scores = score_clip(*exact, folder, KEPT)
    assert scores["points"] == len(exact[0].query_frame)
    for name, value in scores.items():
        if "error" in name or "camera" in name:
            assert value < 1e-4, name
        elif "points" not in name and "recall" not in name:
            assert value == 1, name
    # points of two frames do not cover what turns up in others
    assert scores["moving_recall"] > 0.75 and scores["object_recall"] == 1


def test_a_known_error_is_found_again(folder, exact):
    tracks, geometry = exact
    off = replace(tracks, world_m=tracks.world_m + np.array([0.003, 0.0, 0.004]))
    scores = score_clip(off, geometry, folder, KEPT)
    assert scores["error_m_median"] == pytest.approx(0.005, abs=1e-5)
    assert scores["moving_error_m_p95"] == pytest.approx(0.005, abs=1e-5)
    assert scores["pts_within_1"] < 0.5 and scores["pts_within_8"] > 0.99
    assert scores["camera_m_max"] < 1e-9 and scores["oa"] == 1


def test_another_world_frame_makes_no_difference(folder, exact):
    tracks, geometry = exact
    T = load_truth(folder).T_base_camera[KEPT[0]]
    tracks = replace(tracks, world_m=se3.apply(T, tracks.world_m))
    geometry = with_poses(geometry, T @ geometry.T_world_camera)
    scores = score_clip(tracks, geometry, folder, KEPT)
    assert scores["apd"] == scores["aj"] == 1 and scores["error_m_max"] < 1e-6


def test_a_camera_that_is_taken_to_stand_still_shows_in_poses_and_positions(folder, exact):
    tracks, geometry = exact
    still = with_poses(geometry, np.tile(np.eye(4), (len(KEPT), 1, 1)))
    scores = score_clip(tracks, still, folder, KEPT)
    path = load_truth(folder).T_base_camera[KEPT, :3, 3]
    farthest = np.linalg.norm(path - path[0], axis=1).max()
    assert scores["camera_m_max"] == pytest.approx(farthest)
    assert scores["camera_deg_max"] > 1 and scores["aj"] < 0.9


def test_a_smaller_clip_is_compared_at_its_own_size(folder, exact):
    tracks, geometry = exact
    half = geometry.intrinsics.scaled(120, 90)
    tracks = replace(tracks, uv_px=(tracks.uv_px + 0.5) / 2 - 0.5)
    scores = score_clip(tracks, replace(geometry, intrinsics=half), folder, KEPT)
    assert scores["error_m_max"] < 1e-4 and scores["aj"] == 1
    assert scores["object_recall"] == 1


def test_without_tracks_on_what_moves_recall_is_nothing(folder, exact):
    tracks, geometry = exact
    still = tracks.cluster_ids == 0
    rest = Tracks(*(getattr(tracks, name)[still] for name in Tracks.__slots__))
    scores = score_clip(rest, geometry, folder, KEPT)
    assert scores["moving_recall"] == scores["object_recall"] == 0
    assert np.isnan(scores["moving_precision"]) and np.isnan(scores["moving_aj"])
    none = Tracks(*(getattr(tracks, name)[:0] for name in Tracks.__slots__))
    scores = score_clip(none, geometry, folder, KEPT)
    assert scores["points"] == 0 and np.isnan(scores["error_m_median"])


def test_still_points_that_jump_are_labels_that_are_wrong(folder, exact):
    tracks, geometry = exact
    jump = np.zeros((*tracks.visible.shape, 3))
    jump[tracks.cluster_ids == 0, 5:, 0] = 0.3
    scores = score_clip(replace(tracks, world_m=tracks.world_m + jump), geometry, folder, KEPT)
    assert scores["moving_precision"] < 0.5 and scores["object_recall"] == 1


def test_frames_before_the_query_count_in_one_score_and_not_in_the_other(folder, exact):
    tracks, geometry = exact
    later = np.arange(len(KEPT)) >= tracks.query_frame[:, None]
    forward = replace(
        tracks,
        visible=tracks.visible & later,
        world_m=np.where(later[..., None], tracks.world_m, np.nan),
    )
    scores = score_clip(forward, geometry, folder, KEPT)
    assert scores["after_aj"] == scores["after_apd"] == scores["after_oa"] == 1
    assert scores["aj"] == pytest.approx(scores["apd"]) and 0.5 < scores["aj"] < 0.95


def test_what_does_not_belong_together_is_refused(folder, exact, tmp_path):
    tracks, geometry = exact
    with pytest.raises(ShapeError, match=r"kept \(25,\)"):
        score_clip(tracks, geometry, folder, KEPT[:-1])
    with pytest.raises(ShapeError, match="outside the film"):
        score_clip(tracks, geometry, folder, KEPT + 10)
    with pytest.raises(DataError, match="track 0 is not visible in its query frame 0"):
        score_clip(replace(tracks, visible=tracks.visible & False), geometry, folder, KEPT)
    with pytest.raises(DataError, match="no film with truth"):
        score_clip(tracks, geometry, tmp_path, KEPT)
