# SPDX-License-Identifier: Apache-2.0
"""Scale and offset of depth come back from boards and walls, in spite of outliers."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.calibration.board import Board
from mu0_core.calibration.depth_scale import (
    DepthSamples,
    board_samples,
    fit_depth_scale,
    wall_samples,
)
from mu0_core.errors import DataError
from mu0_core.testing.calibration_views import CAMERA, Rig

SCALE, OFFSET_M = 1.025, -0.012  # what must be found: true = SCALE * sensor + OFFSET_M


def sensor(true_m, rng, noise=0.0015):
    return (true_m + rng.normal(0, noise, true_m.shape) * true_m**2 - OFFSET_M) / SCALE


def flat_views(distances, rng, outliers=0.0):
    for k, distance in enumerate(distances):
        true = np.full(300, distance)
        depth = sensor(true, rng)
        depth[rng.random(300) < outliers] *= 1.4
        yield DepthSamples(str(k), depth, true)


@pytest.mark.parametrize("outliers", [0.0, 0.2])
def test_scale_and_offset_come_back(outliers):
    rng = np.random.default_rng(1)
    found = fit_depth_scale(list(flat_views([0.3, 0.5, 0.7, 0.9, 1.2], rng, outliers)))
    assert found.scale == pytest.approx(SCALE, abs=0.002)
    assert found.offset_m == pytest.approx(OFFSET_M, abs=0.002)
    assert abs(found.scale - SCALE) < 5 * found.scale_error + 1e-4
    assert found.warnings == ()
    if not outliers:
        assert found.after_mm < 0.3 * found.before_mm
    assert all(abs(v.after_mm) < 1.5 for v in found.views)


def test_views_at_one_distance_give_a_scale_alone_and_say_so():
    views = list(flat_views([0.6, 0.6, 0.62], np.random.default_rng(2)))
    found = fit_depth_scale(views)
    assert found.offset_m == 0.0
    assert any("only the scale was fitted" in w for w in found.warnings)


def test_a_good_sensor_is_told_from_a_bad_one():
    rng = np.random.default_rng(3)
    true = [np.full(200, d) for d in (0.4, 0.6, 0.8, 1.0, 1.2)]
    views = [DepthSamples("x", t + rng.normal(0, 0.002, 200), t) for t in true]
    found = fit_depth_scale(views)
    assert found.scale == pytest.approx(1.0, abs=0.004)
    assert any("hardly better" in w for w in found.warnings)


def test_a_rendered_board_gives_the_depth_of_its_plane():
    rng = np.random.default_rng(4)
    rig = Rig.random("eye-in-hand", Board.parse("charuco:7x5:0.04:0.03"), rng)
    samples = []
    for k, T in enumerate(rig.board_poses(3, rng)):
        v, u = np.indices((CAMERA.height, CAMERA.width))
        ray = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, u * 0 + 1], -1)
        true = (T[:3, 2] @ T[:3, 3]) / (ray @ T[:3, 2])
        found = board_samples(str(k), rig.picture(T, rng), sensor(true, rng), rig.board, rig.lens)
        assert len(found.sensor_m) == 400
        assert np.abs(SCALE * found.sensor_m + OFFSET_M - found.true_m).mean() < 0.003
        samples.append(found)
    assert fit_depth_scale(samples).after_mm < 3.0
    wall = np.full((480, 640, 3), 99, np.uint8)
    assert board_samples("w", wall, np.ones((480, 640)), rig.board, rig.lens) is None
    with pytest.raises(DataError, match="w: colour is 640x480, depth 320x240"):
        board_samples("w", wall, np.ones((240, 320)), rig.board, rig.lens)


def test_a_wall_is_read_in_the_middle_and_without_holes():
    depth = np.full((100, 100), 9.0)
    depth[35:65, 35:65] = 0.8
    depth[50, 50] = np.nan
    found = wall_samples("wall", depth, 0.82)
    assert set(found.sensor_m) == {0.8} and set(found.true_m) == {0.82}
    assert 300 < len(found.sensor_m) <= 400


def test_wrong_units_and_too_few_views_are_refused():
    rng = np.random.default_rng(5)
    good = list(flat_views([0.5, 1.0], rng))
    with pytest.raises(DataError, match="1 views show depth on what is known, 2"):
        fit_depth_scale(good[:1])
    wrong = [DepthSamples(s.name, s.sensor_m * 1000, s.true_m) for s in good]
    with pytest.raises(DataError, match="unit of the depth images"):
        fit_depth_scale(wrong)
