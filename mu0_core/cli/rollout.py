# SPDX-License-Identifier: Apache-2.0
"""``mu0 rollout``: success over tasks and seeds, directly or through the ROS nodes."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

from mu0_core.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--tasks", default="all", help="comma separated names, or all (default)")
    parser.add_argument(
        "--seeds", default="50000:50010", help="first:end of the episode seeds (default 50000:50010)"
    )
    parser.add_argument(
        "--direct", action="store_true", help="same core without DDS; time stands still while it computes"
    )
    parser.add_argument(
        "--instruct-as", metavar="TASK", help="give the sentence of another task and judge the asked ones"
    )
    parser.add_argument("--world-model", default="mu0-embedded", help="model id")
    parser.add_argument("--action-expert", default="mu0-embedded-fr3", help="model id")
    parser.add_argument("--max-duration", type=float, default=25.0, metavar="S", help="per episode")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write counts")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a bar chart")
    parser.add_argument("--video", type=Path, metavar="FILE", help="write all episodes (direct only)")


def run(args: argparse.Namespace) -> int:
    """Roll out and print the table."""
    from mu0_core.evaluation.success_table import SuccessTable
    from mu0_core.simulation.tasks import TASKS, get_task

    names = list(TASKS) if args.tasks == "all" else [get_task(n).name for n in args.tasks.split(",")]
    if args.instruct_as is not None:
        get_task(args.instruct_as)
    seeds = parse_seeds(args.seeds)
    table = SuccessTable()
    episodes = _direct if args.direct else _through_ros
    for task, success in episodes(args, names, seeds):
        table.add(task, success)
    print(table.to_markdown())
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        extra = {
            "seeds": args.seeds, "direct": args.direct, "instruct_as": args.instruct_as,
            "world_model": args.world_model, "action_expert": args.action_expert,
            "machine": f"{platform.machine()}, {platform.python_version()}",
        }
        args.json.write_text(json.dumps({**table.to_json(), **extra}, indent=2) + "\n")
    if args.plot is not None:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        table.plot(args.plot)
    return 0


def parse_seeds(text: str) -> range:
    """Return the seeds of ``first:end``.

    Raises:
        ConfigError: not two integers in order.
    """
    first, _, end = text.partition(":")
    if not (first.isdigit() and end.isdigit() and int(first) < int(end)):
        raise ConfigError(f"--seeds {text!r}: expected FIRST:END with FIRST < END")
    return range(int(first), int(end))


def _direct(args, names, seeds):
    """Yield (task, success) of the direct loop."""
    import torch
    from tqdm import tqdm

    from mu0_core.inference import runtime
    from mu0_core.robot.description import load_robot
    from mu0_core.simulation.closed_loop import ClosedLoop, LoopSettings
    from mu0_core.simulation.world import TableWorld

    torch.set_num_threads(args.threads)
    robot = load_robot("fr3")
    world = TableWorld(robot)
    loop = ClosedLoop(
        world, runtime.make_selector(), runtime.load_forecaster(args.world_model),
        runtime.load_action_expert(args.action_expert, robot), runtime.make_monitor(),
        LoopSettings(max_duration_s=args.max_duration),
    )
    film = _Film(args.video)
    with tqdm(total=len(names) * len(seeds), unit="episode", file=sys.stderr) as bar:
        for task in names:
            for seed in seeds:
                world.reset(seed)
                instruction = world.instructions()[args.instruct_as or task]
                result = loop.run(instruction, seed, on_tick=film.tick if args.video else None)
                bar.set_postfix_str(f"{task} {result.end}")
                bar.update()
                yield task, world.success(task)
    film.close()
    world.close()


class _Film:
    """Collects every fifth tick (10 Hz) into a video."""

    def __init__(self, path: Path | None) -> None:
        self._writer, self._count = None, 0
        if path is not None:
            import imageio.v2 as imageio

            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = imageio.get_writer(path, fps=20, macro_block_size=8)

    def tick(self, world) -> None:
        self._count += 1
        if self._count % 5 == 0:
            self._writer.append_data(world.render().rgb[::2, ::2])

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _through_ros(args, names, seeds):
    """Yield (task, success) of episodes run by the nodes as processes."""
    from mu0_core.cli.processes import NodeProcesses

    if args.video is not None:
        raise ConfigError("--video needs --direct; mu0 demo films a run over ROS")
    with NodeProcesses(
        parameters={
            "trace_forecaster": {"model_id": args.world_model},
            "action_expert": {"model_id": args.action_expert},
        }
    ) as nodes:
        arguments = [
            "--tasks", ",".join(names), "--seeds", args.seeds,
            "--max-duration", str(args.max_duration),
        ]
        if args.instruct_as:
            arguments += ["--instruct-as", args.instruct_as]
        for record in nodes.facts("mu0_ros.rollout_client", arguments):
            yield record["task"], record["success"]
