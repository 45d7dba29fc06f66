# SPDX-License-Identifier: Apache-2.0
"""``mu0 collect``: pictures with what the scripted expert would do; continues where it stopped."""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from mu0_core.errors import ConfigError, SimulationError
from mu0_core.simulation.layout import FIRST_EVALUATION_SEED

if TYPE_CHECKING:
    from mu0_core.simulation.collection import Outcome

_maker = None  # one per worker process: building the scene and its tables takes seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``mu0 collect``."""
    parser.add_argument("--out", type=Path, required=True, help="folder of the snapshots")
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


def run(args: argparse.Namespace) -> int:
    """Collect; return 0 when every seed has a snapshot or a ``.failed`` mark."""
    from mu0_core.simulation.collection import Outcome, check_training_seeds, is_collected

    if args.workers < 1:
        raise ConfigError(f"--workers {args.workers} must be at least 1")
    seeds = check_training_seeds(args.first_seed, args.episodes)
    missing = [seed for seed in seeds if not is_collected(args.out, seed)]
    counts = Counter({Outcome.PRESENT: len(seeds) - len(missing)})
    os.environ.setdefault("LP_NUM_THREADS", "1")  # software rendering: one thread per worker
    with tqdm(total=len(seeds), initial=counts[Outcome.PRESENT], unit="episode") as bar:
        for outcome in _outcomes(args.out, missing, args.workers):
            counts[outcome] += 1
            bar.set_postfix(failed=counts[Outcome.FAILED])
            bar.update()
    print(
        f"{args.out}: {counts[Outcome.RECORDED]} made, {counts[Outcome.FAILED]} failed, "
        f"{counts[Outcome.PRESENT]} were there already"
    )
    return 0


def _outcomes(out: Path, seeds: list[int], workers: int) -> Iterator[Outcome]:
    """Yield the outcome of each seed, in order; a worker that dies ends the collection."""
    jobs = [(out, seed) for seed in seeds]
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


def _collect(job: tuple[Path, int]) -> Outcome:
    from mu0_core.simulation.collection import collect_seed
    from mu0_core.simulation.snapshot import SnapshotMaker
    from mu0_core.simulation.world import TableWorld

    global _maker
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise SystemExit("mu0 collect was killed")
    if _maker is None:
        _maker = SnapshotMaker(TableWorld())
    return collect_seed(_maker, *job)
