# SPDX-License-Identifier: Apache-2.0
"""``mu0 calibrate``: where the camera is mounted, and how far its depth is off."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mu0_core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mu0_core.calibration.depth_scale import DepthSamples
    from mu0_core.calibration.hand_eye_records import HandEye

EPILOG = """\
examples:
  mu0 calibrate hand-eye images --poses poses.csv --board charuco:7x5:0.04:0.03 \\
    --camera camera.yaml --mode eye-in-hand --out calibration
  mu0 calibrate hand-eye --pairs pairs.csv --mode eye-to-hand --out calibration
  mu0 calibrate depth-scale recording --board charuco:7x5:0.04:0.03 --camera camera.yaml
  mu0 calibrate depth-scale images --distances distances.csv

Boards: checkerboard:9x6:0.025 (inner corners), charuco:7x5:0.04:0.03, apriltag:1x1:0.1,
apriltag:4x3:0.05:0.02 (gap). Lengths in metres. docs/how-to/calibrate.md has the files' forms.
"""
_DEPTH_FILE = "depth.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    hand = kinds.add_parser("hand-eye", help="where the camera is mounted on the robot")
    hand.add_argument("images", nargs="?", type=Path, help="folder of images of the board")
    hand.add_argument("--poses", type=Path, help="poses of the tool, CSV, YAML or JSON")
    _board_arguments(hand)
    hand.add_argument(
        "--pairs", type=Path, metavar="CSV",
        help="instead of images: camera_x camera_y camera_z robot_x robot_y robot_z",
    )  # fmt: skip
    hand.add_argument(
        "--mode", choices=("eye-in-hand", "eye-to-hand"), required=True,
        help="the camera moves with the tool, or stands still beside the robot",
    )  # fmt: skip
    hand.add_argument("--robot", default="fr3", help="file in config/robots for the frames (fr3)")
    hand.add_argument(
        "--camera-frame", default="camera_color_optical_frame",
        help="header.frame_id of the images (camera_color_optical_frame)",
    )  # fmt: skip
    hand.add_argument(
        "--driver-tf", metavar="FRAME:x,y,z,qx,qy,qz,qw",
        help="where the driver puts the optical frame, as tf2_echo FRAME CAMERA_FRAME prints it",
    )  # fmt: skip
    depth = kinds.add_parser("depth-scale", help="scale and offset of depth against what is known")
    depth.add_argument("images", type=Path, help="folder with color/ and depth/, or of depth")
    _board_arguments(depth)
    depth.add_argument(
        "--distances", type=Path, metavar="CSV",
        help="instead of a board: image distance_m, of a wall that fills the middle",
    )  # fmt: skip
    depth.add_argument(
        "--depth-unit-m", type=float, default=0.001, help="metres per unit of integers (0.001)"
    )
    for child in (hand, depth):
        child.add_argument(
            "--out", type=Path, default=Path("calibration"), help="folder (calibration)"
        )


def _board_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", help="what is seen, e.g. charuco:7x5:0.04:0.03")
    parser.add_argument("--camera", type=Path, help="intrinsics: CameraInfo YAML, or JSON")
    parser.add_argument(
        "--rectified", action="store_true", help="images are rectified: the file's P is theirs"
    )


def run(args: argparse.Namespace) -> int:
    """Calibrate; print what was found; return 0.

    Raises:
        Mu0Error: see `_hand_eye`, `_pairs` and `_depth_scale`.
    """
    if args.what == "depth-scale":
        return _depth_scale(args)
    if (args.pairs is None) == (args.images is None):
        raise ConfigError("give a folder of images, or --pairs FILE, and not both")
    return _pairs(args) if args.pairs else _hand_eye(args)


def _need(args: argparse.Namespace, *names: str) -> None:
    if missing := [f"--{name}" for name in names if getattr(args, name) is None]:
        raise ConfigError(f"{', '.join(missing)} missing: a board in images needs them")


# -- hand-eye ------------------------------------------------------------------------------------


def _hand_eye(args: argparse.Namespace) -> int:
    from mu0_core.calibration.board import Board
    from mu0_core.calibration.hand_eye import calibrate
    from mu0_core.calibration.hand_eye_file import hand_eye_facts
    from mu0_core.calibration.hand_eye_picture import draw
    from mu0_core.calibration.hand_eye_records import HandEyeSettings
    from mu0_core.calibration.lens import read_lens
    from mu0_core.calibration.table_file import read_poses
    from mu0_core.calibration.view_folder import read_views

    _need(args, "poses", "board", "camera")
    board, lens = Board.parse(args.board), read_lens(args.camera, args.rectified)
    views, blind = read_views(args.images, read_poses(args.poses), board, lens)
    for name in blind:
        print(f"{name}: the board is not seen")
    result = calibrate(views.views, lens, HandEyeSettings(args.mode))
    _print_hand_eye(result)
    paths = _write_mount(args, result.T_mount_camera, hand_eye_facts(result))
    draw(result, views.pictures, args.out / "hand_eye.png")
    print("\n".join(str(p) for p in (*paths, args.out / "hand_eye.png")))
    return 0


def _print_hand_eye(result: HandEye) -> None:
    print(f"{'view':<24} {'px':>7} {'mm':>7} {'deg':>7}")
    for v in result.views:
        print(
            f"{v.name:<24} {v.px:>7.2f} {v.mm:>7.2f} {v.deg:>7.3f}{'' if v.used else '  left out'}"
        )
    print(
        f"{'all that were used':<24} {result.rms('px'):>7.2f} {result.rms('mm'):>7.2f} "
        f"{result.rms('deg'):>7.3f}\nuncertainty of the mount, from leaving out one view at a "
        f"time: {result.spread_mm:.2f} mm, {result.spread_deg:.3f} deg"
    )
    for warning in result.warnings:
        print(f"warning: {warning}")


def _pairs(args: argparse.Namespace) -> int:
    from mu0_core.calibration.point_pairs import fit_pairs
    from mu0_core.calibration.table_file import read_numbers

    columns = [f"{side}_{axis}" for side in ("camera", "robot") for axis in "xyz"]
    numbers = read_numbers(args.pairs, columns)
    fit = fit_pairs(numbers[:, :3], numbers[:, 3:])
    for k, (residual, used) in enumerate(zip(fit.residual_m, fit.used), 1):
        print(f"pair {k:<4} {residual * 1e3:>7.2f} mm{'' if used else '  left out'}")
    rms_mm = float((fit.residual_m[fit.used] ** 2).mean() ** 0.5 * 1e3)
    print(
        f"{int(fit.used.sum())} pairs: {rms_mm:.2f} mm rms; uncertainty {fit.spread_mm:.2f} mm, "
        f"{fit.spread_deg:.3f} deg"
    )
    facts = {
        "mode": args.mode,
        "pairs_used": int(fit.used.sum()),
        "pairs_left_out": [k for k, used in enumerate(fit.used.tolist(), 1) if not used],
        "residual_mm": round(rms_mm, 4),
        "standard_error_mm": round(fit.spread_mm, 4),
        "standard_error_deg": round(fit.spread_deg, 5),
    }
    print("\n".join(str(p) for p in _write_mount(args, fit.T_mount_camera, facts)))
    return 0


def _write_mount(args: argparse.Namespace, T: Any, facts: Mapping[str, Any]) -> list[Path]:
    from mu0_core.calibration.hand_eye_file import parse_driver, write_mount
    from mu0_core.robot.description import load_robot

    robot, still = load_robot(args.robot), args.mode == "eye-to-hand"
    driver = parse_driver(args.driver_tf) if args.driver_tf else None
    parent = robot.base_frame if still else robot.tip_frame
    return write_mount(args.out, T, parent, args.camera_frame, dict(facts), driver, still)


# -- depth-scale ---------------------------------------------------------------------------------


def _depth_scale(args: argparse.Namespace) -> int:
    from mu0_core.calibration.depth_scale import fit_depth_scale
    from mu0_core.calibration.hand_eye_file import write_parameters

    result = fit_depth_scale(_wall(args) if args.distances else _boards(args))
    print(f"{'view':<24} {'true m':>8} {'before mm':>10} {'after mm':>9}")
    for v in result.views:
        print(f"{v.name:<24} {v.distance_m:>8.3f} {v.before_mm:>+10.1f} {v.after_mm:>+9.1f}")
    print(
        f"scale {result.scale:.5f} +- {result.scale_error:.5f}, offset "
        f"{result.offset_m * 1e3:.1f} +- {result.offset_error_m * 1e3:.1f} mm; median error "
        f"{result.before_mm:.1f} mm before, {result.after_mm:.1f} mm after"
    )
    for warning in result.warnings:
        print(f"warning: {warning}")
    path = write_parameters(
        args.out / _DEPTH_FILE,
        "true depth = depth_scale * sensor + depth_offset_m. Written by mu0 calibrate "
        f"depth-scale: median error {result.before_mm:.1f} to {result.after_mm:.1f} mm.",
        depth_scale=round(result.scale, 6),
        depth_offset_m=round(result.offset_m, 6),
    )
    print(path)
    return 0


def _wall(args: argparse.Namespace) -> list[DepthSamples]:
    from mu0_core.calibration.depth_scale import wall_samples
    from mu0_core.calibration.table_file import read_named_numbers
    from mu0_core.trace_extract.sources.image_file import read_depth

    rows = read_named_numbers(args.distances, "image", ["distance_m"])
    for name, (distance,) in rows.items():
        if not 0.05 <= distance <= 20.0:
            raise DataError(
                f"{args.distances}: {name}: distance_m {distance} is outside 0.05 to 20"
            )
    return [
        wall_samples(name, read_depth(args.images / name, args.depth_unit_m), float(distance))
        for name, (distance,) in rows.items()
    ]


def _boards(args: argparse.Namespace) -> list[DepthSamples]:
    from mu0_core.calibration.board import Board
    from mu0_core.calibration.depth_scale import board_samples
    from mu0_core.calibration.lens import read_lens
    from mu0_core.calibration.view_folder import read_rgbd

    _need(args, "board", "camera")
    board, lens = Board.parse(args.board), read_lens(args.camera, args.rectified)
    samples = []
    for name, rgb, depth in read_rgbd(args.images, args.depth_unit_m):
        found = board_samples(name, rgb, depth, board, lens)
        if found is None:
            print(f"{name}: the board is not seen")
        else:
            samples.append(found)
    return samples
