# SPDX-License-Identifier: Apache-2.0
"""Track metrics: perfect is all, wrong is nothing, noise of a known size is worth what it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import chi

from mu0_core.errors import DataError, ShapeError
from mu0_core.evaluation.track_metrics import (
    THRESHOLDS_PX,
    camera_errors,
    evaluated_focal_px,
    moving_precision,
    moving_recall,
    position_errors,
    spread,
    tapvid3d,
)
from mu0_core.types import CameraIntrinsics

FOCAL_PX = 100.0


def scene(seed: int, points: int = 40, frames: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Return tracks (P, T, 3) half a metre to two metres away, and which are visible."""
    rng = np.random.default_rng(seed)
    tracks = rng.uniform((-0.5, -0.5, 0.5), (0.5, 0.5, 2.0), (points, frames, 3))
    return tracks, rng.random((points, frames)) < 0.7


@given(st.integers(0, 1000))
def test_perfect_tracks_score_everything(seed):
    tracks, visible = scene(seed)
    hidden = np.where(visible[..., None], tracks, np.nan)  # nobody needs to know what is hidden
    scores = tapvid3d(hidden, visible, tracks, visible, FOCAL_PX)
    assert set(scores.values()) == {1.0}


@given(st.integers(0, 1000))
def test_tracks_that_are_far_off_score_nothing_but_occlusion(seed):
    tracks, visible = scene(seed)
    scores = tapvid3d(tracks + (0, 0, 5.0), visible, tracks, visible, FOCAL_PX)
    assert scores["apd"] == scores["aj"] == 0 and scores["oa"] == 1


def test_missing_positions_are_wrong_not_ignored():
    tracks, visible = scene(0)
    lost = np.full_like(tracks, np.nan)
    scores = tapvid3d(lost, np.zeros_like(visible), tracks, visible, FOCAL_PX)
    assert scores["apd"] == scores["aj"] == 0
    assert scores["oa"] == pytest.approx((~visible).mean())


@given(st.integers(0, 1000), st.floats(0.5, 20.0))
def test_an_error_of_k_pixels_at_its_depth_passes_the_thresholds_above_k(seed, pixels):
    tracks, visible = scene(seed)
    rng = np.random.default_rng(seed)
    way = rng.standard_normal(tracks.shape)
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    found = tracks + way * pixels * tracks[..., 2:] / FOCAL_PX
    scores = tapvid3d(found, visible, tracks, visible, FOCAL_PX)
    passed = [float(d > pixels) for d in THRESHOLDS_PX]
    if min(abs(d - pixels) for d in THRESHOLDS_PX) > 1e-6:
        assert [scores[f"pts_within_{d}"] for d in THRESHOLDS_PX] == passed
        assert scores["apd"] == pytest.approx(np.mean(passed))
        assert scores["aj"] == pytest.approx(np.mean(passed))


def test_gaussian_jitter_scores_what_its_distribution_says():
    tracks, visible = scene(1, 200, 100)
    tracks[..., 2] = 1.0
    rng = np.random.default_rng(2)
    found = tracks + rng.normal(0, 0.02, tracks.shape)  # 2 px of deviation per axis
    scores = tapvid3d(found, visible, tracks, visible, FOCAL_PX)
    within = np.array([chi.cdf(d / 2, 3) for d in THRESHOLDS_PX])
    np.testing.assert_allclose(
        [scores[f"pts_within_{d}"] for d in THRESHOLDS_PX], within, atol=0.01
    )
    jaccard = [scores[f"jaccard_{d}"] for d in THRESHOLDS_PX]
    np.testing.assert_allclose(jaccard, within / (2 - within), atol=0.015)


def test_a_case_counted_by_hand():
    """Four points in one frame at 1 m, threshold 1 px = 1 cm.

    Right and seen; 3 cm off and seen; right, but called hidden; hidden, but called seen.
    """
    truth = np.tile([0.0, 0.0, 1.0], (4, 1, 1))
    found = truth + np.array([0.0, 0.03, 0.0, 0.0])[:, None, None] * [1, 0, 0]
    truly = np.array([True, True, True, False])[:, None]
    called = np.array([True, True, False, True])[:, None]
    scores = tapvid3d(found, called, truth, truly, FOCAL_PX)
    assert scores["oa"] == 2 / 4
    assert [scores[f"pts_within_{d}"] for d in THRESHOLDS_PX] == [2 / 3, 2 / 3, 1, 1, 1]
    # true positives over visible points (3) + false positives (the fourth, and the second if far)
    expected = [1 / 5, 1 / 5, 2 / 4, 2 / 4, 2 / 4]
    assert [scores[f"jaccard_{d}"] for d in THRESHOLDS_PX] == expected
    assert scores["aj"] == pytest.approx(np.mean(expected))


def test_nothing_is_rescaled():
    tracks, visible = scene(3)
    doubled = tapvid3d(2 * tracks, visible, tracks, visible, FOCAL_PX)
    assert doubled["apd"] < 0.05


def test_without_a_visible_point_there_is_no_score():
    tracks, visible = scene(4, 2, 3)
    nothing = np.zeros_like(visible)
    scores = tapvid3d(tracks, nothing, tracks, nothing, FOCAL_PX)
    assert np.isnan(scores["apd"]) and np.isnan(scores["aj"]) and scores["oa"] == 1


def test_thresholds_refer_to_a_picture_of_256_pixels():
    assert evaluated_focal_px(CameraIntrinsics(640, 480, 480, 480, 320, 240)) == 256
    wide = CameraIntrinsics(200, 100, 90, 160, 100, 50)
    assert evaluated_focal_px(wide) == pytest.approx(120 * 2.56)


def test_position_errors_are_those_of_points_that_both_see():
    tracks, visible = scene(5)
    called = np.random.default_rng(0).random(visible.shape) < 0.5
    found = np.where(called[..., None], tracks + (0.0, 0.03, 0.04), np.nan)
    errors = position_errors(found, called, tracks, visible)
    assert len(errors) == (called & visible).sum()
    np.testing.assert_allclose(errors, 0.05)


def test_moving_recall_and_precision_are_shares():
    truly = np.array([True, True, True, False, False])
    found = np.array([True, False, True, True, False])
    assert moving_recall(truly, found) == 2 / 3
    assert moving_recall(truly, truly) == 1 and moving_recall(truly, ~truly) == 0
    assert np.isnan(moving_recall(np.zeros(3, bool), np.ones(3, bool)))
    assert moving_precision(np.array([True, True, True, False])) == 3 / 4
    assert np.isnan(moving_precision(np.zeros(0, bool)))


def rigid(turn_deg: float, shift_m: tuple[float, float, float]) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0, 0, np.radians(turn_deg)]).as_matrix()
    pose[:3, 3] = shift_m
    return pose


@given(st.integers(0, 1000))
def test_where_the_world_is_makes_no_difference_to_the_camera_error(seed):
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (12, 1, 1))
    poses[:, :3, :3] = Rotation.random(12, random_state=seed).as_matrix()
    poses[:, :3, 3] = rng.uniform(-1, 1, (12, 3))
    elsewhere = rigid(rng.uniform(-180, 180), tuple(rng.uniform(-5, 5, 3))) @ poses
    metres, degrees = camera_errors(elsewhere, poses)
    np.testing.assert_allclose(metres, 0, atol=1e-9)
    np.testing.assert_allclose(degrees, 0, atol=1e-5)


def test_a_camera_that_drifts_is_off_by_its_drift():
    truth = np.tile(np.eye(4), (5, 1, 1))
    drift = np.stack([rigid(0.5 * k, (0.01 * k, 0, 0)) for k in range(5)])
    metres, degrees = camera_errors(drift, truth)
    np.testing.assert_allclose(metres, [0, 0.01, 0.02, 0.03, 0.04], atol=1e-12)
    np.testing.assert_allclose(degrees, [0, 0.5, 1.0, 1.5, 2.0], atol=1e-6)
    assert spread(metres, "camera_m") == pytest.approx(
        {"camera_m_median": 0.02, "camera_m_p95": 0.038, "camera_m_max": 0.04}
    )
    assert all(np.isnan(value) for value in spread(metres[:0], "none").values())


def test_broken_input_is_named():
    tracks, visible = scene(6)
    with pytest.raises(ShapeError, match="visibility"):
        tapvid3d(tracks, visible[:-1], tracks, visible, FOCAL_PX)
    with pytest.raises(ShapeError, match="tracks"):
        tapvid3d(tracks[:, :-1], visible, tracks, visible, FOCAL_PX)
    broken = tracks.copy()
    broken[np.argwhere(visible)[0][0]] = np.nan
    with pytest.raises(DataError, match="true point"):
        tapvid3d(tracks, visible, broken, visible, FOCAL_PX)
    with pytest.raises(DataError, match="not finite"):
        position_errors(broken, visible, tracks, visible)
    with pytest.raises(ShapeError, match="places"):
        moving_recall(np.ones(2, bool), np.ones(3, bool))
    poses = np.tile(np.eye(4), (3, 1, 1))
    with pytest.raises(ShapeError, match=r"\(T, 4, 4\)"):
        camera_errors(poses, poses[:2])
    with pytest.raises(DataError, match="pose"):
        camera_errors(poses * np.nan, poses)
