# SPDX-License-Identifier: Apache-2.0
"""``mu0 rollout``: success over tasks and seeds, directly or through the ROS nodes."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mu0_core.atomic_file import replace_file
from mu0_core.errors import ConfigError

if TYPE_CHECKING:
    from mu0_core.evaluation.success_table import Episode, SuccessTable

EPILOG = """\
examples:
  mu0 rollout --tasks all --seeds 50000:50050 --json out.json     through the ROS nodes, real time
  mu0 rollout --direct --workers 2 --tasks all --seeds 50000:50050 the same core without DDS
  mu0 rollout --direct --tasks push_left --instruct-as push_right   does the sentence matter?
  mu0 rollout --direct --robot so101 --world-model true-traces       another arm, perfect traces

--json holds {"tasks": {NAME: {"successes": n, "episodes": m}}}, every episode, and the settings.
Training uses seeds below 50000 only. A simulated second costs about a second through the nodes.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--tasks", default="all",
        help="comma separated names, or all that the shipped models know (all)",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", default="50000:50010", help="FIRST:END of the episodes (50000:50010)"
    )
    parser.add_argument(
        "--direct",
        action="store_true",
        help="the same core without DDS; simulated time stands still while the models compute",
    )
    parser.add_argument(
        "--instruct-as", metavar="TASK", help="give the sentence of TASK, still judge --tasks"
    )
    parser.add_argument(
        "--world-model", default="mu0-embedded",
        help="model id (mu0-embedded); with --direct also a folder",
    )  # fmt: skip
    parser.add_argument(
        "--robot", default="fr3", help="name in config/robots, or the path of a description (fr3)"
    )
    parser.add_argument(
        "--action-expert", metavar="ID", help="model id (the one that the robot's file names)"
    )
    parser.add_argument(
        "--max-duration", type=float, default=60.0, metavar="S", help="per episode (60)"
    )
    parser.add_argument(
        "--real-time-factor", type=float, default=1.0, metavar="F",
        help="simulated against real time, through the nodes only; less on a busy machine (1)",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, help="processes, --direct only (1)")
    parser.add_argument(
        "--threads", type=int, default=2, help="torch threads of a single worker (2)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write counts and episodes")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a bar chart (PNG)")
    parser.add_argument("--video", type=Path, metavar="FILE", help="film it; --direct, one worker")


def run(args: argparse.Namespace) -> int:
    """Roll out and print the table.

    Raises:
        ConfigError: arguments that do not go together.
        SimulationError: an unknown task.
    """
    from tqdm import tqdm

    from mu0_core.evaluation.success_table import SuccessTable
    from mu0_core.simulation.tasks import NEW_TASKS, TASKS, get_task

    names = (
        list(TASKS) if args.tasks == "all" else [get_task(n).name for n in args.tasks.split(",")]
    )
    if args.instruct_as is not None:
        get_task(args.instruct_as)
    seeds = parse_seeds(args.seeds)
    _check(args)
    if not args.direct and (new := [n for n in (*names, args.instruct_as) if n in NEW_TASKS]):
        raise ConfigError(f"{new[0]} needs --direct: the nodes' simulator offers old tasks only")
    table, started = SuccessTable(), time.monotonic()
    episodes = _direct(args, names, seeds) if args.direct else _through_ros(args, names)
    with tqdm(total=len(names) * len(seeds), unit="episode", file=sys.stderr) as bar:
        for episode in episodes:
            table.add(episode)
            bar.set_postfix_str(f"{episode.task} {'ok' if episode.success else episode.end[:24]}")
            bar.update()
            if args.json is not None:  # after each one: an interrupted run keeps what it has
                _write_json(args, table, time.monotonic() - started)
    print(table.to_markdown())
    if len(names) > 1 or args.instruct_as is not None:
        print(f"\n{table.confusion_markdown()}")
    if args.plot is not None:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        table.plot(args.plot)
    return 0


def parse_seeds(text: str) -> range:
    """Return the seeds of ``FIRST:END``.

    Raises:
        ConfigError: not two integers in order.
    """
    first, _, end = text.partition(":")
    if not (first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise ConfigError(f"--seeds {text!r}: expected FIRST:END with 0 <= FIRST < END")
    return range(int(first), int(end))


def _check(args: argparse.Namespace) -> None:
    if args.max_duration <= 0 or args.workers < 1 or args.threads < 1:
        raise ConfigError("--max-duration, --workers and --threads must be positive")
    if args.video is not None and (not args.direct or args.workers > 1):
        raise ConfigError("--video needs --direct and one worker; mu0 demo films a run over ROS")
    if not 0.05 <= args.real_time_factor <= 20.0:
        raise ConfigError(f"--real-time-factor {args.real_time_factor}: allowed 0.05 to 20")
    if args.workers > 1 and not args.direct:
        raise ConfigError("--workers needs --direct: the nodes run one episode at a time")


def _action_expert(args: argparse.Namespace) -> str:
    """Return the action expert that is given, else the robot's own."""
    from mu0_core.robot.description import load_robot

    return args.action_expert or load_robot(args.robot).action_expert


def _write_json(args: argparse.Namespace, table: SuccessTable, wall_s: float) -> None:
    content = {
        **table.to_json(),
        "confusion": table.confusion(),
        "seeds": args.seeds,
        "direct": args.direct,
        "instruct_as": args.instruct_as,
        "world_model": args.world_model,
        "robot": args.robot,
        "action_expert": _action_expert(args),
        "max_duration_s": args.max_duration,
        "real_time_factor": args.real_time_factor,
        "wall_s": round(wall_s, 1),
        "episodes": [episode.to_json() for episode in table.episodes],
    }
    text = json.dumps(content, indent=2) + "\n"
    replace_file(args.json, lambda temporary: temporary.write_text(text))


def _direct(args: argparse.Namespace, names: list[str], seeds: range) -> Iterator[Episode]:
    from mu0_core.cli.rollout_direct import DirectSettings, direct_episodes

    settings = DirectSettings(
        robot=args.robot,
        world_model=args.world_model,
        action_expert=_action_expert(args),
        max_duration_s=args.max_duration,
        threads=args.threads if args.workers == 1 else 1,
        instruct_as=args.instruct_as,
        video=args.video,
    )
    jobs = [(task, seed) for task in names for seed in seeds]
    return direct_episodes(settings, jobs, args.workers)


def _through_ros(args: argparse.Namespace, names: list[str]) -> Iterator[Episode]:
    """Yield episodes run by the nodes as processes."""
    from mu0_core.cli.processes import NodeProcesses
    from mu0_core.evaluation.success_table import Episode

    parameters: dict[str, dict[str, object]] = {
        "simulator": {"robot": args.robot, "real_time_factor": args.real_time_factor},
        "safety_gate": {"robot": args.robot},
    }
    parameters["trace_forecaster"] = {"model_id": args.world_model}
    parameters["action_expert"] = {"robot": args.robot, "model_id": _action_expert(args)}
    arguments = [
        "--tasks",
        ",".join(names),
        "--seeds",
        args.seeds,
        "--max-duration",
        str(args.max_duration),
    ]
    if args.instruct_as:
        arguments += ["--instruct-as", args.instruct_as]
    with NodeProcesses(parameters) as nodes:
        for fact in nodes.facts("mu0_ros.rollout_client", arguments):
            yield Episode(**{**fact, "achieved": tuple(fact["achieved"])})
