#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Error of `mu0 calibrate hand-eye` in simulation, where the true mount is known.

    python scripts/measure_hand_eye.py --json docs/results/hand_eye.json

Corners are projected and disturbed (0.2 px), and the robot's poses with them (0.1 mm, 0.01 deg);
a few trials draw pictures of the board instead and find the corners in them. 15 views each.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from mu0_core.calibration.board import Board
from mu0_core.calibration.hand_eye import calibrate
from mu0_core.calibration.hand_eye_records import MODES, HandEyeSettings, View
from mu0_core.testing.calibration_views import Rig, error_of

VIEWS = 15
GOAL_MM, GOAL_DEG = 2.0, 0.2
BOARDS = {
    "charuco 7x5, 40 mm": "charuco:7x5:0.04:0.03",
    "checkerboard 9x6, 30 mm": "checkerboard:9x6:0.03",
    "one AprilTag, 100 mm": "apriltag:1x1:0.1",
}


def trial(mode: str, board: Board, seed: int, drawn: bool) -> tuple[float, float, float]:
    """Return the error in mm and deg, and the stated standard error in mm."""
    rng = np.random.default_rng(seed)
    rig = Rig.random(mode, board, rng)
    views = drawn_views(rig, rng) if drawn else rig.views(VIEWS, rng)
    found = calibrate(views, rig.lens, HandEyeSettings(mode))
    return *error_of(found.T_mount_camera, rig.T_mount_camera), found.spread_mm


def drawn_views(rig: Rig, rng: np.random.Generator) -> list[View]:
    """Return views whose corners OpenCV found in a picture of the board."""
    views = []
    for k, T in enumerate(rig.board_poses(VIEWS, rng)):
        found = rig.board.find(rig.picture(T, rng))
        if found is not None:
            views.append(View(f"{k:02d}", rig.noisy(rig.tool_pose(T), rng), found))
    return views


def summary(trials: list[tuple[float, float, float]]) -> dict[str, float]:
    """Return median, 95 % and worst of both errors, and how many reach the goal."""
    mm, deg, stated = np.array(trials).T
    row = {"trials": len(trials)}
    for name, values in (("mm", mm), ("deg", deg)):
        for key, value in (
            ("median", np.median(values)),
            ("p95", np.percentile(values, 95)),
            ("worst", values.max()),
        ):
            row[f"{name}_{key}"] = round(float(value), 4)
    row["stated_mm_median"] = round(float(np.median(stated)), 4)
    row["reach_goal"] = int(((mm <= GOAL_MM) & (deg <= GOAL_DEG)).sum())
    return row


def table(rows: dict[str, dict[str, float]]) -> str:
    """Return Markdown."""
    lines = [
        "| board, mode, corners | median | 95 % | worst | stated, median | within 2 mm, 0.2 deg |",
        "|---|---|---|---|---|---|",
    ]
    for name, r in rows.items():
        cells = [
            f"{r[f'mm_{k}']:.2f} mm, {r[f'deg_{k}']:.3f} deg" for k in ("median", "p95", "worst")
        ]
        stated = f"{r['stated_mm_median']:.2f} mm"
        cells += [stated, f"{r['reach_goal']} of {r['trials']}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=50, help="of each board and mode (50)")
    parser.add_argument("--drawn", type=int, default=3, help="with drawn pictures (3)")
    parser.add_argument("--seed", type=int, default=0, help="of the first trial (0)")
    parser.add_argument("--json", type=Path, help="write the numbers")
    args = parser.parse_args()
    rows = {}
    for name, text in BOARDS.items():
        board = Board.parse(text)
        for mode in MODES:
            for drawn, count in ((False, args.trials), (True, args.drawn)):
                trials = [trial(mode, board, args.seed + k, drawn) for k in range(count)]
                if trials:
                    how = "drawn and found" if drawn else "0.2 px"
                    rows[f"{name}, {mode}, {how}"] = summary(trials)
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
