# SPDX-License-Identifier: Apache-2.0
"""Writing the snapshots or episodes of many seeds into a folder, one seed at a time.

Everything follows from the seed, so collection can be cut off, continued and shared out among
processes. A seed without a usable state leaves a ``.failed`` mark and is not tried again.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from mu0_core.errors import SimulationError
from mu0_core.simulation.imagined_episode import ImaginedEpisodes
from mu0_core.simulation.layout import FIRST_EVALUATION_SEED
from mu0_core.simulation.snapshot import SnapshotMaker
from mu0_core.simulation.snapshot_file import save_snapshot, snapshot_path


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


def check_evaluation_seeds(first: int, count: int) -> range:
    """Return the seeds ``first`` … ``first + count - 1``.

    Raises:
        SimulationError: there are none, or some belong to the training.
    """
    if first < FIRST_EVALUATION_SEED or count < 1:
        raise SimulationError(
            f"seeds {first}..{first + count - 1} are not evaluation seeds: from "
            f"{FIRST_EVALUATION_SEED} on"
        )
    return range(first, first + count)


def collect_episode(maker: ImaginedEpisodes, folder: Path, seed: int) -> Outcome:
    """Make and write one episode of the released format unless it is there already."""
    path = folder / f"{seed:06d}"
    if is_collected(folder, seed):
        return Outcome.PRESENT
    if maker.write(seed, path):
        return Outcome.RECORDED
    folder.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".failed").touch()
    return Outcome.FAILED


def is_collected(folder: Path, seed: int) -> bool:
    """Say whether ``seed`` needs no more work, in either form."""
    path = snapshot_path(folder, seed)
    marks = (path, path.with_suffix(""), path.with_suffix(".failed"))
    return any(mark.exists() for mark in marks)


def collect_seed(maker: SnapshotMaker, folder: Path, seed: int) -> Outcome:
    """Make and write one snapshot unless it is there already.

    Raises:
        SimulationError: ``seed`` belongs to the evaluation.
    """
    check_training_seeds(seed, 1)
    if is_collected(folder, seed):
        return Outcome.PRESENT
    snapshot, path = maker.make(seed), snapshot_path(folder, seed)
    if snapshot is None:
        folder.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".failed").touch()
        return Outcome.FAILED
    save_snapshot(snapshot, path)
    return Outcome.RECORDED
