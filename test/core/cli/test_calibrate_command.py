# SPDX-License-Identifier: Apache-2.0
"""``mu0 calibrate`` from files to files: drawn pictures in, a mount and depth parameters out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from mu0_core.calibration.board import Board
from mu0_core.cli.main import main
from mu0_core.geometry import se3
from mu0_core.testing.calibration_views import CAMERA, Rig, error_of, pose, write_recording

BOARD = "charuco:7x5:0.04:0.03"


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    rng = np.random.default_rng(1)
    rig = Rig.random("eye-to-hand", Board.parse(BOARD), rng)
    return rig, write_recording(rig, tmp_path_factory.mktemp("recording"), 6, rng)


def command(folder, out, *more):
    return main(
        ["calibrate", "hand-eye", str(folder / "images"), "--poses", str(folder / "poses.csv"),
         "--board", BOARD, "--camera", str(folder / "camera.yaml"), "--mode", "eye-to-hand",
         "--camera-frame", "lens", "--out", str(out), *more]
    )  # fmt: skip


def test_pictures_give_parameters_a_record_and_a_picture(recording, tmp_path, capsys):
    rig, folder = recording
    assert command(folder, tmp_path) == 0
    printed = capsys.readouterr().out
    assert "uncertainty of the mount" in printed and "warning: 6 views were used" in printed
    values = yaml.safe_load((tmp_path / "camera_pose.yaml").read_text())["/**"]["ros__parameters"]
    numbers = np.array(values["camera_pose"])
    mm, deg = error_of(se3.from_quat_xyzw(numbers[:3], numbers[3:]), rig.T_mount_camera)
    assert mm < 3.0 and deg < 0.3
    assert values["camera_frame"] == "lens"
    record = yaml.safe_load((tmp_path / "hand_eye.yaml").read_text())
    assert record["parent_frame"] == "fr3_link0" and len(record["views_used"]) == 6
    assert cv2.imread(str(tmp_path / "hand_eye.png")).shape[0] > 500


def test_what_does_not_fit_together_is_an_error_line(recording, tmp_path, capsys):
    _, folder = recording
    short = tmp_path / "poses.csv"
    short.write_text("".join((folder / "poses.csv").read_text().splitlines(keepends=True)[:-1]))
    assert command(folder, tmp_path, "--poses", str(short)) == 2
    assert "1 images without a pose: 05.png" in capsys.readouterr().err
    small = tmp_path / "camera.yaml"
    small.write_text((folder / "camera.yaml").read_text().replace("width: 640", "width: 700"))
    assert command(folder, tmp_path, "--camera", str(small)) == 2
    assert "640x480 pixels, the camera file is for 700x480" in capsys.readouterr().err
    assert main(["calibrate", "hand-eye", "x", "--mode", "eye-in-hand"]) == 2
    assert "--poses, --board, --camera missing" in capsys.readouterr().err
    assert main(["calibrate", "hand-eye", "--mode", "eye-in-hand"]) == 2
    assert "or --pairs FILE, and not both" in capsys.readouterr().err


def test_pairs_of_points_give_the_mount_and_name_the_bad_one(tmp_path, capsys):
    rng = np.random.default_rng(2)
    T = pose(np.array([0.5, 0.1, 0.6]), np.array([2.0, 1.0, 0.2]))
    camera = rng.uniform(-0.3, 0.3, (8, 3)) + [0, 0, 0.7]
    robot = se3.apply(T, camera)
    robot[2] += 0.05
    path = tmp_path / "pairs.csv"
    head = "camera_x,camera_y,camera_z,robot_x,robot_y,robot_z"
    np.savetxt(path, np.c_[camera, robot], delimiter=",", header=head, comments="")
    arguments = ["--mode", "eye-to-hand", "--pairs", str(path), "--out", str(tmp_path)]
    assert main(["calibrate", "hand-eye", *arguments]) == 0
    assert "pair 3" in capsys.readouterr().out
    record = yaml.safe_load((tmp_path / "hand_eye.yaml").read_text())
    assert record["pairs_left_out"] == [3]
    np.testing.assert_allclose(record["xyz"], T[:3, 3], atol=1e-5)


def millimetres(folder, name, depth_m):
    folder.mkdir(exist_ok=True, parents=True)
    cv2.imwrite(str(folder / name), np.round(depth_m * 1000).astype(np.uint16))


def test_a_board_gives_the_depth_parameters(tmp_path, capsys):
    rng = np.random.default_rng(3)
    rig = Rig.random("eye-in-hand", Board.parse(BOARD), rng)
    write_recording(rig, tmp_path, 1, rng)
    v, u = np.indices((CAMERA.height, CAMERA.width))
    ray = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, u * 0 + 1], -1)
    (tmp_path / "color").mkdir()
    near, far = 0.35, 0.7
    for k, z in enumerate((near, 0.45, 0.55, far)):
        T = pose(np.array([-0.12, -0.08, z]), np.array([0.2, 0.1, 0.05]))
        cv2.imwrite(str(tmp_path / "color" / f"{k}.png"), rig.picture(T, rng))
        true = (T[:3, 2] @ T[:3, 3]) / (ray @ T[:3, 2])
        millimetres(tmp_path / "depth", f"{k}.png", (true + 0.008) / 0.98)
    camera = ["--camera", str(tmp_path / "camera.yaml")]
    arguments = [str(tmp_path), "--board", BOARD, *camera, "--out", str(tmp_path)]
    assert main(["calibrate", "depth-scale", *arguments]) == 0
    values = yaml.safe_load((tmp_path / "depth.yaml").read_text())["/**"]["ros__parameters"]
    assert values["depth_scale"] == pytest.approx(0.98, abs=0.01)
    assert values["depth_scale"] * 0.5 + values["depth_offset_m"] == pytest.approx(
        0.482, abs=0.002
    )
    assert "4 views were used, 5 or more" in capsys.readouterr().out


def test_walls_at_known_distances_give_the_depth_parameters(tmp_path, capsys):
    rows = ["image,distance_m"]
    for k, distance in enumerate((0.4, 0.6, 0.8, 1.0, 1.3)):
        millimetres(tmp_path, f"{k}.png", np.full((60, 80), (distance + 0.02) / 1.05))
        rows.append(f"{k}.png,{distance}")
    table = tmp_path / "distances.csv"
    table.write_text("\n".join(rows))
    arguments = [str(tmp_path), "--distances", str(table), "--out", str(tmp_path)]
    assert main(["calibrate", "depth-scale", *arguments]) == 0
    values = yaml.safe_load((tmp_path / "depth.yaml").read_text())["/**"]["ros__parameters"]
    assert values["depth_scale"] == pytest.approx(1.05, abs=0.002)
    assert values["depth_offset_m"] == pytest.approx(-0.02, abs=0.002)
    table.write_text("image,distance_m\n0.png,400\n")
    assert main(["calibrate", "depth-scale", *arguments]) == 2
    assert "distance_m 400.0 is outside 0.05 to 20" in capsys.readouterr().err
