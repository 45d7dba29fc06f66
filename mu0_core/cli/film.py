# SPDX-License-Identifier: Apache-2.0
"""``mu0 film``: simulator recordings with exact truth; films that are there are left alone."""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from mu0_core.cli.rollout import parse_seeds
from mu0_core.errors import ConfigError, SimulationError

if TYPE_CHECKING:
    from mu0_core.simulation.film import FilmSettings

_SINGLE_FRAMES = 300
EPILOG = """\
examples:
  mu0 film --out films --tasks stack_cubes,push_left --seeds 49000:49004
  mu0 film --out films --camera moving --frames 1500 --seeds 49000:49001
  mu0 film --out demos --embodiment hand --tasks cube_on_box --seeds 40000:40005

Each film is a folder of RGB-D images (color/, depth/, intrinsics.json, stamps.txt, texts.json)
that mu0 extract reads, with the truth beside them in truth/. It starts with its task and goes on
with others on the same table until it is full; a single film ends when its task is over. The
hand is not the robot's: its films are demonstrations for mu0 adapt. Films of several tasks measure
only; nothing is trained on them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--out", type=Path, required=True, help="folder of the films")
    parser.add_argument("--tasks", default="all", help="comma separated names, or all (all)")
    parser.add_argument(
        "--seeds", default="49000:49001", help="FIRST:END of the episodes (49000:49001)"
    )
    parser.add_argument(
        "--camera", default="static", choices=("static", "moving"), help="(static)"
    )
    parser.add_argument(
        "--embodiment", default="arm", choices=("arm", "hand"), help="who does it (arm)"
    )
    parser.add_argument(
        "--single", action="store_true", help="end each film with its task; a hand always does"
    )
    parser.add_argument(
        "--frames", type=int, help="length of each film (60); most of a single one (300)"
    )
    parser.add_argument("--plain", action="store_true", help="table and floor without texture")
    parser.add_argument("--exact", action="store_true", help="without the noise of a sensor")
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")


def run(args: argparse.Namespace) -> int:
    """Film; return 0 when every film is there.

    Raises:
        ConfigError: an argument is out of range.
        SimulationError: an unknown task, or a process died.
    """
    from tqdm import tqdm

    from mu0_core.simulation.film import FilmSettings, film_name
    from mu0_core.simulation.sensor_noise import SensorNoise
    from mu0_core.simulation.tasks import TASKS, get_task

    if args.workers < 1:
        raise ConfigError(f"--workers {args.workers} must be at least 1")
    names = list(TASKS) if args.tasks == "all" else args.tasks.split(",")
    tasks = [get_task(name).name for name in names]
    single = args.single or args.embodiment == "hand"
    settings = FilmSettings(
        camera=args.camera,
        frames=args.frames if args.frames is not None else _SINGLE_FRAMES if single else 60,
        embodiment=args.embodiment,
        single=single,
        textured=not args.plain,
        noise=None if args.exact else SensorNoise(),
    )
    wanted = [
        (args.out / film_name(settings, task, seed), task, seed, settings)
        for task in tasks
        for seed in parse_seeds(args.seeds)
    ]
    missing = [job for job in wanted if not job[0].exists()]
    os.environ.setdefault("LP_NUM_THREADS", "1")  # software rendering: one thread per worker
    with tqdm(total=len(wanted), initial=len(wanted) - len(missing), unit="film") as bar:
        for _ in _films(missing, args.workers):
            bar.update()
    print(f"{args.out}: {len(missing)} filmed, {len(wanted) - len(missing)} were there already")
    return 0


def _films(jobs: list[tuple[Path, str, int, FilmSettings]], workers: int) -> Iterator[None]:
    """Make films and yield after each; a worker that dies ends it."""
    if workers == 1 or len(jobs) < 2:
        yield from map(_film, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
        try:
            yield from pool.map(_film, jobs)
        except BrokenProcessPool as error:
            raise SimulationError(
                "a filming process died (out of memory?); run the command again with fewer "
                "--workers to continue"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _film(job: tuple[Path, str, int, FilmSettings]) -> None:
    from mu0_core.simulation.film import film

    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise SystemExit("mu0 film was killed")
    film(*job)
