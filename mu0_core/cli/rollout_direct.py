# SPDX-License-Identifier: Apache-2.0
"""Episodes of the direct loop for ``mu0 rollout --direct``, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mu0_core.errors import SimulationError

if TYPE_CHECKING:
    from mu0_core.evaluation.success_table import Episode
    from mu0_core.simulation.world import TableWorld

Job = tuple[str, int]
_FILM_EVERY = 5  # ticks of 20 ms
_FILM_FPS = 20

_table: _Table | None = None  # one per worker process: loading takes seconds


@dataclass(frozen=True, slots=True)
class DirectSettings:
    """What workers need to know; ``instruct_as`` is a task whose sentence is given instead."""

    world_model: str
    action_expert: str
    max_duration_s: float
    threads: int = 1
    instruct_as: str | None = None
    video: Path | None = None
    robot: str = "fr3"


def direct_episodes(settings: DirectSettings, jobs: list[Job], workers: int) -> Iterator[Episode]:
    """Yield the episode of every (task, seed); with several workers in the order they end.

    Raises:
        SimulationError: a worker process died.
    """
    if workers == 1 or len(jobs) == 1:
        table = _Table(settings)
        try:
            yield from map(table.play, jobs)
        finally:
            table.close()
        return
    os.environ.setdefault("LP_NUM_THREADS", "1")  # software rendering: one thread per worker
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(
        min(workers, len(jobs)), multiprocessing.get_context("spawn"), _start, (settings,)
    ) as pool:
        try:
            for done in as_completed([pool.submit(_play, job) for job in jobs]):
                yield done.result()
        except BrokenProcessPool as error:
            raise SimulationError(
                "a worker process died (out of memory, or a model that does not load); run again "
                "with --workers 1 to see why"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start(settings: DirectSettings) -> None:
    global _table
    _table = _Table(settings)


def _play(job: Job) -> Episode:
    assert _table is not None, "the pool's initializer has run"
    return _table.play(job)


class _Table:
    """A world and a loop, kept over episodes."""

    def __init__(self, settings: DirectSettings) -> None:
        import torch

        from mu0_core.evaluation.true_traces import TrueTraceForecaster
        from mu0_core.inference import runtime
        from mu0_core.robot.description import load_robot
        from mu0_core.simulation.closed_loop import ClosedLoop, LoopSettings
        from mu0_core.simulation.world import TableWorld
        from mu0_core.training.embedded_profile import EMBEDDED_WORLD_MODEL

        torch.set_num_threads(settings.threads)
        robot = load_robot(settings.robot)
        self._settings = settings
        self._world = TableWorld(robot)
        if settings.world_model == TrueTraceForecaster.model_id:
            forecaster = TrueTraceForecaster(self._world, EMBEDDED_WORLD_MODEL)
        else:
            folder = Path(settings.world_model)
            if (folder / "config.json").is_file():  # the command line may name any folder
                forecaster = runtime.open_forecaster(folder, folder.name)
            else:
                forecaster = runtime.load_forecaster(settings.world_model)
        expert = runtime.load_action_expert(settings.action_expert, robot, allow_blind=True)
        self._loop = ClosedLoop(
            self._world,
            runtime.make_selector(),
            forecaster,
            expert,
            runtime.make_monitor(),
            LoopSettings(max_duration_s=settings.max_duration_s),
        )
        self._film = None if settings.video is None else _Film(settings.video)

    def play(self, job: Job) -> Episode:
        """Run one episode and judge all tasks."""
        from mu0_core.evaluation.success_table import Episode
        from mu0_core.simulation.tasks import TASKS

        task, seed = job
        instructed = self._settings.instruct_as or task
        self._world.reset(seed)
        sentence = self._world.instruction(instructed)
        tick = self._film.tick if self._film is not None else None
        result = self._loop.run(sentence, seed, on_tick=tick)
        return Episode(
            task,
            instructed,
            seed,
            tuple(name for name in dict.fromkeys([*TASKS, task]) if self._world.success(name)),
            f"{result.end}: {result.message}" if result.message else result.end,
            round(result.duration_s, 2),
            result.rounds,
            result.chunks_rejected,
        )

    def close(self) -> None:
        """Finish the film and free the renderer."""
        if self._film is not None:
            self._film.close()
        self._world.close()


class _Film:
    """Collects every fifth tick (10 Hz) into a video at twice real time."""

    def __init__(self, path: Path) -> None:
        import imageio.v2 as imageio

        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer, self._count = imageio.get_writer(path, fps=_FILM_FPS, macro_block_size=8), 0

    def tick(self, world: TableWorld) -> None:
        """Take the world's picture when it is due."""
        self._count += 1
        if self._count % _FILM_EVERY == 0:
            self._writer.append_data(world.render().rgb[::2, ::2])

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
