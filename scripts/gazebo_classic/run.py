#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Let the nodes do tasks in Gazebo Classic 11: rendered RGB-D in, joint trajectories out.

    sudo scripts/gazebo_classic/setup.sh
    sudo .venv/bin/python scripts/gazebo_classic/run.py --tasks all --seeds 50000:50003

This is Gazebo Classic (end of life January 2025), not the Harmonic that goes with Jazzy. The
nodes, their parameters and the client are those of ``mu0 rollout``; only the simulator is another.
Success is judged from Gazebo's own poses. ``--direct`` runs the same core without DDS, with
simulated time at rest while the models compute.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mu0_core.atomic_file import replace_file
from mu0_core.cli.processes import NODES, NodeProcesses
from mu0_core.cli.rollout import parse_seeds
from mu0_core.errors import Mu0Error
from mu0_core.evaluation.success_table import Episode, SuccessTable
from mu0_core.gazebo.classic.direct import direct_episodes
from mu0_core.gazebo.classic.server import DEFAULT_ROOT
from mu0_core.simulation.tasks import TASKS

MODULE = "mu0_ros.gazebo_classic.node"


class GazeboProcesses(NodeProcesses):
    """The nodes with Gazebo in the place of the embedded simulator."""

    def _command(self, name: str) -> list[str]:
        command = super()._command(name)
        return [MODULE if word == "mu0_ros.nodes.simulator_node" else word for word in command]


def main() -> int:
    """Run the episodes, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default="all", help="comma separated names (all)")
    parser.add_argument("--seeds", default="50000:50003", help="FIRST:END (50000:50003)")
    parser.add_argument("--max-duration", type=float, default=90.0, help="s per episode (90)")
    parser.add_argument(
        "--real-time-factor", type=float, default=1.0, metavar="X",
        help="upper bound; lower lets the nodes keep up on a slow or busy machine (1)",
    )  # fmt: skip
    parser.add_argument("--direct", action="store_true", help="without nodes")
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT, help=f"({DEFAULT_ROOT})")
    parser.add_argument("--out", type=Path, default=Path("outputs/gazebo_classic"))
    args = parser.parse_args()
    tasks = list(TASKS) if args.tasks == "all" else args.tasks.split(",")
    seeds, table, started = parse_seeds(args.seeds), SuccessTable(), time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        for episode in play(args, tasks, seeds):
            table.add(episode)
            print(f"{episode.task} {episode.seed}: {'achieved' if episode.success else 'no'} "
                f"after {episode.duration_s} s {episode.end}", flush=True)  # fmt: skip
            write(args, table, time.monotonic() - started)
    except Mu0Error as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 2
    print(table.to_markdown())
    return 0


def play(args: argparse.Namespace, tasks: list[str], seeds: range) -> Iterator[Episode]:
    """Yield episodes, played by the nodes or by the direct loop."""
    if args.direct:
        yield from direct_episodes(tasks, seeds, args.max_duration, args.root, args.out)
        return
    os.environ["MU0_GAZEBO_ROOT"] = str(args.root.resolve())
    os.environ["MU0_GAZEBO_LOG"] = str(args.out.resolve())
    simulator = {"seed": seeds.start, "real_time_factor": args.real_time_factor}
    nodes = tuple(name for name in NODES if name != "visualizer")
    arguments = ["--tasks", ",".join(tasks), "--seeds", f"{seeds.start}:{seeds.stop}"]
    arguments += ["--max-duration", str(args.max_duration)]
    with GazeboProcesses({"simulator": simulator}, args.out / "log", nodes) as running:
        for fact in running.facts("mu0_ros.gazebo_classic.client", arguments):
            yield Episode(**{**fact, "achieved": tuple(fact["achieved"])})


def write(args: argparse.Namespace, table: SuccessTable, wall_s: float) -> None:
    """Write what there is so far, with the rates that the simulator node measured."""
    rates = args.out / "rates.json"
    content = {
        **table.to_json(),
        "simulator": "Gazebo Classic 11",
        "direct": args.direct,
        "seeds": args.seeds,
        "max_duration_s": args.max_duration,
        "real_time_factor_wanted": None if args.direct else args.real_time_factor,
        "wall_s": round(wall_s, 1),
        "rates": json.loads(rates.read_text()) if rates.is_file() else {},
        "episodes": [episode.to_json() for episode in table.episodes],
    }
    text = json.dumps(content, indent=2) + "\n"
    replace_file(args.out / "result.json", lambda path: path.write_text(text))


if __name__ == "__main__":
    raise SystemExit(main())
