# SPDX-License-Identifier: Apache-2.0
"""Episodes in Gazebo Classic without middleware: the direct loop around a `GazeboTableWorld`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mu0_core.evaluation.success_table import Episode
from mu0_core.gazebo.classic.server import GazeboServer
from mu0_core.gazebo.classic.world import GazeboTableWorld
from mu0_core.robot.description import load_robot
from mu0_core.simulation.tasks import TASKS


def direct_episodes(
    tasks: Sequence[str], seeds: range, max_duration_s: float, root: Path, log_dir: Path
) -> Iterator[Episode]:
    """Yield the episode of every task and seed; simulated time rests while the models compute.

    Args:
        tasks: names; seeds: of the layouts; max_duration_s: simulated, per episode.
        root: the chroot; log_dir: for the output of gzserver.
    """
    from mu0_core.inference import runtime
    from mu0_core.simulation.closed_loop import ClosedLoop, LoopSettings

    robot = load_robot("fr3")
    forecaster = runtime.load_forecaster()
    expert = runtime.load_action_expert(robot.action_expert, robot)
    parts = runtime.make_selector(), forecaster, expert, runtime.make_monitor()
    settings = LoopSettings(max_duration_s=max_duration_s)
    world = GazeboTableWorld(robot, GazeboServer(root, log_dir))
    try:
        loop = ClosedLoop(world, *parts, settings)
        for seed in seeds:
            for task in tasks:
                world.reset(seed)
                result = loop.run(world.instructions()[task], seed)
                achieved = tuple(name for name in TASKS if world.success(name))
                end = f"{result.end}: {result.message}" if result.message else result.end
                motion_s = round(result.duration_s, 2)
                counts = result.rounds, result.chunks_rejected
                yield Episode(task, task, seed, achieved, end, motion_s, *counts)
    finally:
        world.close()
