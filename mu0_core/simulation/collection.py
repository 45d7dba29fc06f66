# SPDX-License-Identifier: Apache-2.0
"""Writing the snapshots of many seeds into a folder, one seed at a time.

Everything follows from the seed, so collection can be cut off, continued and shared out among
processes. A seed without a snapshot leaves a ``.failed`` mark and is not tried again.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from mu0_core.errors import SimulationError
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


def is_collected(folder: Path, seed: int) -> bool:
    """Say whether ``seed`` needs no more work."""
    path = snapshot_path(folder, seed)
    return path.is_file() or path.with_suffix(".failed").is_file()


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
