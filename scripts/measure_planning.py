#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPU times of collision check, inverse kinematics and planning; how often a way is found.

    python scripts/measure_planning.py --json docs/results/planning.json

Random tip poses in the workspace, half of them left and half of them right of a wall, above a
table; the wall is a box in one half of the trials and points as a camera sees them in the other.
Start and goal are joints that inverse kinematics finds free of collision.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np

from mu0_core.control.decision import Outcome
from mu0_core.errors import KinematicsError, PlanningError
from mu0_core.geometry.box import Box
from mu0_core.planning.path_chunk import path_chunk
from mu0_core.planning.roboplan_planner import RoboplanPlanner
from mu0_core.planning.scene import PlanningScene, floor_box
from mu0_core.robot.description import RobotDescription, load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.testing.arm_cases import at, ready_gate

_WALL_SHARE = 0.45  # of the workspace's height and depth


def scene_of(robot: RobotDescription, as_points: bool) -> PlanningScene:
    """Return a table and a wall that divides the workspace into left and right."""
    low, high = robot.workspace_min_m, robot.workspace_max_m
    depth, height = (high[0] - low[0]) * _WALL_SHARE, (high[2] - low[2]) * _WALL_SHARE
    centre = np.array([(low[0] + high[0]) / 2 + depth / 2, 0.0, robot.floor_m + height / 2])
    if not as_points:
        return PlanningScene((floor_box(robot), Box.at("wall", centre, (depth, 0.01, height))))
    x = np.arange(centre[0] - depth / 2, centre[0] + depth / 2, 0.01)
    z = np.arange(robot.floor_m + 0.03, height, 0.01)
    grid = np.stack([g.ravel() for g in np.meshgrid(x, [0.0], z)], axis=1)
    points = (np.floor(grid / 0.01) + 0.5) * 0.01
    return PlanningScene((floor_box(robot),), points, 0.01)


def pose_of(robot: RobotDescription, side: float, order: np.random.Generator) -> np.ndarray:
    """Return a tip pose as at home, somewhere on one side of the wall."""
    low, high = robot.workspace_min_m + 0.02, robot.workspace_max_m - 0.02
    pose = Kinematics(robot).tip(robot.home_rad)
    pose[:3, 3] = order.uniform(low, high)
    pose[1, 3] = side * order.uniform(0.15, 0.9) * high[1]
    pose[2, 3] = order.uniform(robot.floor_m + 0.03, (high[2] - low[2]) / 2)
    return pose


def reached(
    planner: RoboplanPlanner, scene: PlanningScene, side: float, order, times
) -> np.ndarray:
    """Return free joints on a side, and note how long inverse kinematics took."""
    while True:
        pose, begun_s = pose_of(planner.robot, side, order), time.thread_time()
        try:
            joints = planner.inverse(pose, planner.robot.home_rad, scene)
        except (KinematicsError, PlanningError):
            continue
        times["inverse kinematics"].append(time.thread_time() - begun_s)
        return joints


def measure(name: str, trials: int, seed: int) -> dict[str, object]:
    """Return the figures of one arm."""
    robot, order = load_robot(name), np.random.default_rng(seed)
    planner = RoboplanPlanner(robot)
    scenes = [scene_of(robot, as_points) for as_points in (False, True)]
    stages = ("inverse kinematics", "collision check", "plan", "chunk")
    times: dict[str, list[float]] = {stage: [] for stage in stages}
    found = passed = detours = 0
    for trial in range(trials):
        scene = scenes[trial % 2]
        start, goal = (reached(planner, scene, side, order, times) for side in (-1.0, 1.0))
        planner.check(start[None], scene)
        begun_s = time.thread_time()
        planner.check(start[None], scene)
        times["collision check"].append(time.thread_time() - begun_s)
        detours += planner.check(np.stack([start, goal]), scene).collision is not None
        begun_s = time.thread_time()
        try:
            path = planner.plan(start, goal, scene, seed=seed + trial)
        except PlanningError:
            continue
        times["plan"].append(time.thread_time() - begun_s)
        found += 1
        begun_s = time.thread_time()
        try:
            chunk = path_chunk(path, planner, scene, start_ns=0, observation_ns=0)
        except PlanningError:
            continue
        times["chunk"].append(time.thread_time() - begun_s)
        decision = ready_gate(robot, start).submit(chunk, at(robot, start), 0)
        passed += decision.outcome is not Outcome.REJECT
    ms = {
        stage: [round(float(np.percentile(t, p)) * 1e3, 3) for p in (50, 95)]
        for stage, t in times.items()
        if t
    }
    facts = {"trials": trials, "blocked": detours, "found": found, "gate_passed": passed}
    return {**facts, "ms_p50_p95": ms}


def machine() -> str:
    """Return what the figures were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            x.split(":")[1].strip() for x in info.read_text().splitlines() if "model name" in x
        ]
        model = names[0] if names else model
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--robots", nargs="+", default=["fr3", "ur5e", "so101"])
    parser.add_argument("--trials", type=int, default=100, help="of each arm (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the first trial (0)")
    parser.add_argument("--json", type=Path, help="write the numbers")
    args = parser.parse_args()
    results = {"machine": machine()}
    print(results["machine"])
    print("| arm | check | inverse kinematics | plan | chunk | found | passed by the gate |")
    print("|---|---|---|---|---|---|---|")
    for name in args.robots:
        row = results[name] = measure(name, args.trials, args.seed)
        ms = row["ms_p50_p95"]
        cells = [
            "{:.2f} / {:.2f} ms".format(*ms[stage]) if stage in ms else "-"
            for stage in ("collision check", "inverse kinematics", "plan", "chunk")
        ]
        counts = [f"{row[key]} of {row['trials']}" for key in ("found", "gate_passed")]
        print(f"| {name} | " + " | ".join([*cells, *counts]) + " |")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
