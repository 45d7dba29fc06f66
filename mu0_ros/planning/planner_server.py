# SPDX-License-Identifier: Apache-2.0
"""A planner in a process of its own: requests on standard input, answers on standard output.

    python -m mu0_ros.planning.planner_server moveit_py --robot fr3 --group fr3_arm --params FILE

One JSON object per line, see `planner_process`. Whatever libraries print goes to standard error.
The process ends when its input does, and at once: it does not wait for what a library does then.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

import numpy as np

from mu0_core.errors import ConfigError, Mu0Error
from mu0_core.geometry.box import Box
from mu0_core.planning.planner import Planner
from mu0_core.planning.scene import PlanningScene
from mu0_core.robot.description import load_robot

KINDS = ("moveit_py", "roboplan")


def make_planner(args: argparse.Namespace) -> Planner:
    """Return the planner of the command line.

    Raises:
        ConfigError: no such robot, or a parameter is missing.
        PlannerUnavailableError: not installed.
    """
    robot = load_robot(args.robot)
    if args.kind == "roboplan":
        from mu0_core.planning.roboplan_planner import RoboplanPlanner

        return RoboplanPlanner(robot)
    from mu0_ros.planning.move_group_planner import MoveGroupSettings
    from mu0_ros.planning.moveit_py_planner import MoveItPyPlanner

    return MoveItPyPlanner(robot, MoveGroupSettings(args.group, args.allowed_s), args.params)


def answer(planner: Planner, scenes: dict[str, PlanningScene], request: dict[str, Any]) -> Any:
    """Return the answer to one request as something JSON can say."""
    if "scene" in request:
        scenes["now"] = scene_from(request["scene"])
    scene, call = scenes["now"], request["call"]
    if call == "plan":
        start, goal = (np.array(request[name]) for name in ("start", "goal"))
        return planner.plan(start, goal, scene, seed=request["seed"]).tolist()
    if call == "check":
        found = planner.check(np.array(request["path"]), scene, clearance=request["clearance"])
        hit = found.collision
        return {
            "collision": None if hit is None else [hit.step, *hit.bodies],
            "clearance_m": None if np.isnan(found.clearance_m) else found.clearance_m,
        }
    if call == "inverse":
        return planner.inverse(
            np.array(request["pose"]), np.array(request["seed"]), scene
        ).tolist()
    raise ConfigError(f"call {call!r}: allowed are plan, check, inverse")


def scene_from(data: dict[str, Any]) -> PlanningScene:
    """Return the scene of what `scene_as` gave."""
    boxes = tuple(Box(name, tuple(size), np.array(pose)) for name, size, pose in data["boxes"])
    points = np.array(data["points_m"], dtype=float).reshape(-1, 3)
    return PlanningScene(boxes, points, data["voxel_m"], data["gripper_m"])


def scene_as(scene: PlanningScene) -> dict[str, Any]:
    """Return a scene as something JSON can say."""
    return {
        "boxes": [[b.name, list(b.size_m), b.T_base_box.tolist()] for b in scene.boxes],
        "points_m": scene.points_m.round(6).tolist(),
        "voxel_m": scene.voxel_m,
        "gripper_m": scene.gripper_m,
    }


def serve(make: Callable[[], Planner], lines: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more; the first line says whether there is a planner."""

    def say(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    try:
        planner = make()
    except Mu0Error as error:
        say(error=[type(error).__name__, error.code, str(error)])
        return
    say(result="ready")
    scenes = {"now": PlanningScene()}
    for line in lines:
        try:
            say(result=answer(planner, scenes, json.loads(line)))
        except Mu0Error as error:
            say(error=[type(error).__name__, error.code, str(error)])
    planner.close()


def main() -> None:
    """Run the server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--robot", required=True)
    parser.add_argument("--group", default="")
    parser.add_argument("--allowed-s", type=float, default=2.0)
    parser.add_argument("--params", default="", help="file with MoveIt's parameters")
    args = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print
    serve(
        lambda: make_planner(args),
        sys.stdin,
        answers,
    )
    os._exit(0)  # destructors of MoveIt crash


if __name__ == "__main__":
    main()
