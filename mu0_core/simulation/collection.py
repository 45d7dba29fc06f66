# SPDX-License-Identifier: Apache-2.0
"""Which demonstration a seed stands for, and writing it into a folder; one seed at a time.

Everything follows from the seed, so collection can be cut off, continued and shared out among
processes. A seed whose demonstration fails leaves a ``.failed`` mark and is not tried again.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import numpy as np

from mu0_core.errors import SimulationError
from mu0_core.simulation.layout import FIRST_EVALUATION_SEED
from mu0_core.simulation.recorder import RecorderSettings, record
from mu0_core.simulation.recording_file import recording_path, save_recording
from mu0_core.simulation.tasks import TASKS
from mu0_core.simulation.world import TableWorld

# Pressing is learned soon, stacking late.
TASK_WEIGHTS = {
    "cube_in_bowl": 1.0,
    "cube_on_plate": 1.0,
    "stack_cubes": 1.4,
    "push_left": 0.8,
    "push_right": 0.8,
    "press_button": 0.5,
}


class Outcome(Enum):
    """What became of a seed."""

    RECORDED = "recorded"
    FAILED = "failed"
    PRESENT = "present"


def check_training_seeds(first: int, count: int) -> range:
    """Return the seeds ``first`` … ``first + count - 1``.

    Raises:
        SimulationError: there are none, or some belong to the evaluation.
    """
    if first < 0 or count < 1 or first + count > FIRST_EVALUATION_SEED:
        raise SimulationError(
            f"seeds {first}..{first + count - 1} are not training seeds: 0.."
            f"{FIRST_EVALUATION_SEED - 1}; seeds from {FIRST_EVALUATION_SEED} are for evaluation"
        )
    return range(first, first + count)


def task_of_seed(seed: int) -> str:
    """Return the task that the demonstration of ``seed`` shows."""
    names = list(TASKS)
    weights = np.array([TASK_WEIGHTS[name] for name in names])
    return names[np.random.default_rng([seed, 3]).choice(len(names), p=weights / weights.sum())]


def is_collected(folder: Path, seed: int) -> bool:
    """Say whether ``seed`` needs no more work."""
    path = recording_path(folder, seed)
    return path.is_file() or path.with_suffix(".failed").is_file()


def collect_seed(
    world: TableWorld, folder: Path, seed: int, settings: RecorderSettings | None = None
) -> Outcome:
    """Record and write one demonstration unless it is there already.

    Raises:
        SimulationError: ``seed`` belongs to the evaluation.
    """
    check_training_seeds(seed, 1)
    if is_collected(folder, seed):
        return Outcome.PRESENT
    recording = record(world, task_of_seed(seed), seed, settings)
    path = recording_path(folder, seed)
    if recording is None:
        folder.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".failed").touch()
        return Outcome.FAILED
    save_recording(recording, path)
    return Outcome.RECORDED
