# SPDX-License-Identifier: Apache-2.0
"""The mount is found, bad views are named, and what cannot be told is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mu0_core.calibration.board import Board, Found
from mu0_core.calibration.hand_eye import calibrate
from mu0_core.calibration.hand_eye_records import MODES, HandEyeSettings
from mu0_core.calibration.hand_eye_solvers import SOLVERS, motions
from mu0_core.calibration.rotation_spread import rotation_spread
from mu0_core.errors import ConfigError, DataError
from mu0_core.geometry import se3
from mu0_core.testing.calibration_views import Rig, error_of, pose

BOARD = Board.parse("charuco:7x5:0.04:0.03")
EXACT = dict(corner_px=0.0, robot_m=0.0, robot_deg=0.0)


def rig_and_views(mode, seed, count=15, **settings):
    rng = np.random.default_rng(seed)
    rig = Rig.random(mode, BOARD, rng, **settings)
    return rig, rig.views(count, rng)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("seed", range(3))
def test_each_closed_form_is_exact_without_noise(name, seed):
    rng = np.random.default_rng(seed)
    rig = Rig.random("eye-in-hand", BOARD, rng)
    C = rig.board_poses(6, rng)
    A = np.stack([rig.tool_pose(T) for T in C])
    mm, deg = error_of(SOLVERS[name](*motions(A, C)), rig.T_mount_camera)
    assert mm < 1e-6 and deg < 1e-6


@pytest.mark.parametrize("mode", MODES)
def test_without_noise_the_mount_and_the_board_are_exact(mode):
    rig, views = rig_and_views(mode, 5, 6, **EXACT)
    found = calibrate(views, rig.lens, HandEyeSettings(mode))
    for one, true in (
        (found.T_mount_camera, rig.T_mount_camera),
        (found.T_other_board, rig.T_other_board),
    ):
        mm, deg = error_of(one, true)
        assert mm < 0.01 and deg < 0.001
    assert found.rms("px") < 1e-3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", [11, 12])
def test_realistic_noise_and_15_views_stay_within_2_mm_and_a_fifth_of_a_degree(mode, seed):
    rig, views = rig_and_views(mode, seed)
    found = calibrate(views, rig.lens, HandEyeSettings(mode))
    mm, deg = error_of(found.T_mount_camera, rig.T_mount_camera)
    assert mm < 2.0 and deg < 0.2
    assert found.warnings == () and len(found.used) == 15
    assert 0.1 < found.rms("px") < 0.8
    assert mm < 5 * found.spread_mm and deg < 5 * found.spread_deg


def test_wrong_poses_and_wrong_corners_are_named_and_left_out():
    rig, views = rig_and_views("eye-in-hand", 21)
    bumped = views[4].T_base_tool @ pose(np.array([0.02, 0.0, 0.0]), np.zeros(3))
    views[4] = replace(views[4], T_base_tool=bumped)
    shaken = views[9].found.uv_px + np.random.default_rng(0).normal(0, 8, (24, 2))
    views[9] = replace(views[9], found=Found(views[9].found.board_m, shaken))
    found = calibrate(views, rig.lens)
    assert {v.name for v in found.views if not v.used} == {"04.png", "09.png"}
    by_name = {w.split()[0]: w for w in found.warnings}
    assert "robot pose off by" in by_name["04.png"]
    assert "corners themselves do not fit" in by_name["09.png"]
    bad = next(v for v in found.views if v.name == "04.png")
    assert bad.mm == pytest.approx(20.0, abs=2.0)
    mm, deg = error_of(found.T_mount_camera, rig.T_mount_camera)
    assert mm < 2.0 and deg < 0.2


def test_the_wrong_mode_does_not_fit_and_says_so():
    rig, views = rig_and_views("eye-in-hand", 31, 8)
    with pytest.raises(DataError, match="views do not agree.*px.*is eye-to-hand right"):
        calibrate(views, rig.lens, HandEyeSettings("eye-to-hand"))
    with pytest.raises(DataError, match=r"only \d of 8 views agree.*is eye-to-hand right"):
        calibrate(views, rig.lens, HandEyeSettings("eye-to-hand", outlier_factor=1.05))


def turned_about(axis, views, rig, degrees):
    """The same board poses, from a tool that turns about one axis of its frame alone."""
    start = views[0].T_base_tool
    rng = np.random.default_rng(1)
    result = []
    for view, angle in zip(views, np.linspace(-degrees, degrees, len(views))):
        turn = Rotation.from_rotvec(np.radians(angle) * np.array(axis)).as_rotvec()
        tool = start @ pose(rng.uniform(-0.03, 0.03, 3), turn)
        C = se3.inverse(tool @ rig.T_mount_camera) @ rig.T_other_board
        result.append(replace(view, T_base_tool=tool, found=seen(C, rig)))
    return result


def seen(C, rig):
    from mu0_core.calibration.board_pose import project

    corners = rig.board.corners_m
    return Found(corners, project(C, corners, rig.lens))


def test_rotation_about_one_axis_is_refused_and_the_axis_named():
    rig, views = rig_and_views("eye-in-hand", 41, 10)
    with pytest.raises(DataError, match=r"one axis, \(0\.00, 0\.00, 1\.00\).*tilt the tool"):
        calibrate(turned_about([0, 0, 1], views, rig, 25.0), rig.lens)


def test_a_tool_that_never_turns_is_refused():
    rig, views = rig_and_views("eye-in-hand", 42, 10)
    with pytest.raises(DataError, match=r"turned by only 0\.\d deg"):
        calibrate(turned_about([0, 0, 1], views, rig, 0.5), rig.lens)


def test_little_rotation_and_few_views_give_warnings():
    rig, views = rig_and_views("eye-in-hand", 43, 6, tilt_deg=3.0)
    found = calibrate(views, rig.lens)
    assert any("6 views were used" in w for w in found.warnings)
    assert any("tilt the tool" in w for w in found.warnings)


def test_the_stated_uncertainty_grows_when_the_tool_hardly_tilts():
    wide, views = rig_and_views("eye-in-hand", 44)
    narrow, few = rig_and_views("eye-in-hand", 44, tilt_deg=4.0)
    assert calibrate(few, narrow.lens).spread_mm > 2 * calibrate(views, wide.lens).spread_mm


def test_too_few_views_and_unknown_modes_are_refused():
    rig, views = rig_and_views("eye-in-hand", 51, 3)
    with pytest.raises(DataError, match="3 views of the board, at least 4"):
        calibrate(views, rig.lens)
    with pytest.raises(ConfigError, match="eye-in-hand, eye-to-hand"):
        HandEyeSettings("eye-on-head")
    with pytest.raises(ConfigError, match="3 are the least"):
        HandEyeSettings(fewest_views=2)


def test_the_stated_uncertainty_is_that_of_fits_without_one_view():
    rig, views = rig_and_views("eye-in-hand", 45, 8)
    settings = HandEyeSettings(outlier_px=50.0, fewest_views=4)
    mounts = [calibrate(views[:k] + views[k + 1 :], rig.lens, settings) for k in range(8)]
    positions = np.array([found.T_mount_camera[:3, 3] for found in mounts]) * 1e3
    refitted = np.sqrt(7 * positions.var(axis=0).sum())
    assert calibrate(views, rig.lens, settings).spread_mm == pytest.approx(refitted, rel=0.15)


@pytest.mark.parametrize("axis", [[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])
def test_the_spread_of_rotations_does_not_depend_on_where_they_start(axis):
    turns = Rotation.from_rotvec(np.outer(np.radians([-30, -10, 10, 30]), axis))
    for start in (Rotation.identity(), Rotation.random(rng=np.random.default_rng(2))):
        tools = np.tile(np.eye(4), (4, 1, 1))
        tools[:, :3, :3] = (start * turns).as_matrix()
        spread = rotation_spread(tools)
        assert spread.first_deg == pytest.approx(np.sqrt(500), abs=1e-6)
        assert spread.second_deg == pytest.approx(0.0, abs=1e-6)
        np.testing.assert_allclose(spread.axis, axis, atol=1e-9)
