# SPDX-License-Identifier: Apache-2.0
"""``mu0 collect``: pictures with what the scripted expert would do; continues where it stopped.

Snapshots, which the embedded models are trained on, or episodes of the released format.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from mu0_core.errors import ConfigError, SimulationError
from mu0_core.simulation.layout import FIRST_EVALUATION_SEED
from mu0_core.simulation.unseen import UNSEEN

if TYPE_CHECKING:
    from mu0_core.simulation.collection import Outcome
    from mu0_core.simulation.imagined_episode import ImaginedEpisodes
    from mu0_core.simulation.snapshot import SnapshotMaker

FORMATS = ("snapshots", "episodes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``mu0 collect``."""
    parser.add_argument("--out", type=Path, required=True, help="folder of the data")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="snapshots (default), or episodes in the released format with exact traces",
    )
    parser.add_argument(
        "--episodes", type=int, required=True, help="number of seeds, a picture each"
    )
    parser.add_argument(
        "--first-seed",
        type=int,
        default=0,
        help=f"first episode seed; all must be below {FIRST_EVALUATION_SEED} (default: 0)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument(
        "--robot", default="fr3", help="name in config/robots, or the path of a description (fr3)"
    )
    group = parser.add_argument_group("episodes only")
    group.add_argument("--tasks", nargs="+", metavar="TASK", help="tasks (default: all)")
    group.add_argument(
        "--unseen", choices=tuple(UNSEEN), help="scenes unlike those that are trained on"
    )
    group.add_argument(
        "--held-out",
        action="store_true",
        help=f"for evaluation: seeds from {FIRST_EVALUATION_SEED} on instead of below",
    )


def run(args: argparse.Namespace) -> int:
    """Collect; return 0 when every seed has its data or a ``.failed`` mark."""
    from mu0_core.simulation.collection import (
        Outcome,
        check_evaluation_seeds,
        check_training_seeds,
        is_collected,
    )

    if args.workers < 1:
        raise ConfigError(f"--workers {args.workers} must be at least 1")
    if args.format == FORMATS[0] and (args.tasks or args.unseen or args.held_out):
        raise ConfigError("--tasks, --unseen and --held-out need --format episodes")
    if args.unseen and not args.held_out:
        raise ConfigError("--unseen scenes are for evaluation: add --held-out")
    if args.held_out:
        seeds = check_evaluation_seeds(args.first_seed, args.episodes)
    else:
        seeds = check_training_seeds(args.first_seed, args.episodes)
    missing = [seed for seed in seeds if not is_collected(args.out, seed)]
    counts = Counter({Outcome.PRESENT: len(seeds) - len(missing)})
    os.environ.setdefault("LP_NUM_THREADS", "1")  # software rendering: one thread per worker
    with tqdm(total=len(seeds), initial=counts[Outcome.PRESENT], unit="episode") as bar:
        for outcome in _outcomes(_Job.of(args), missing, args.workers):
            counts[outcome] += 1
            bar.set_postfix(failed=counts[Outcome.FAILED])
            bar.update()
    print(
        f"{args.out}: {counts[Outcome.RECORDED]} made, {counts[Outcome.FAILED]} failed, "
        f"{counts[Outcome.PRESENT]} were there already"
    )
    return 0


@dataclass(frozen=True, slots=True)
class _Job:
    """What each process makes: snapshots, or episodes of some tasks in some scenes."""

    out: Path
    episodes: bool
    tasks: tuple[str, ...] | None
    unseen: str | None
    robot: str

    @classmethod
    def of(cls, args: argparse.Namespace) -> _Job:
        tasks = tuple(args.tasks) if args.tasks else None
        return cls(args.out, args.format == FORMATS[1], tasks, args.unseen, args.robot)


def _outcomes(job: _Job, seeds: list[int], workers: int) -> Iterator[Outcome]:
    """Yield the outcome of each seed, in order; a worker that dies ends the collection."""
    jobs = [(job, seed) for seed in seeds]
    if workers == 1 or len(jobs) < 2:
        yield from map(_collect, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
        try:
            yield from pool.map(_collect, jobs)
        except BrokenProcessPool as error:
            raise SimulationError(
                "a collecting process died (out of memory?); run the command again with fewer "
                "--workers to continue"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _collect(job_and_seed: tuple[_Job, int]) -> Outcome:
    from mu0_core.simulation.collection import collect_episode, collect_seed

    job, seed = job_and_seed
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise SystemExit("mu0 collect was killed")
    collect = collect_episode if job.episodes else collect_seed
    return collect(_maker(job), job.out, seed)


@lru_cache(maxsize=1)  # building the scene and its tables takes seconds
def _maker(job: _Job) -> SnapshotMaker | ImaginedEpisodes:
    from mu0_core.robot.description import load_robot
    from mu0_core.simulation.imagined_episode import ImaginedEpisodes, ImaginedSettings
    from mu0_core.simulation.snapshot import SnapshotMaker
    from mu0_core.simulation.world import TableWorld

    robot = load_robot(job.robot)
    if not job.episodes:
        return SnapshotMaker(TableWorld(robot))
    settings = ImaginedSettings(unseen=job.unseen)
    if job.tasks:
        settings = replace(settings, tasks=job.tasks)
    return ImaginedEpisodes(TableWorld(robot), settings)
