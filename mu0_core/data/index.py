# SPDX-License-Identifier: Apache-2.0
"""Which slots of which episodes a training can use, found once and kept.

Finding out means reading every path of a data set. Several processes share the work, and the
result can be stored; it depends on the episodes and the rules alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from mu0_core.atomic_file import replace_file
from mu0_core.data.episode import EpisodeReader, Steps
from mu0_core.data.sampling import SamplingSettings, why_unusable
from mu0_core.errors import DataError

_WORTH_PROCESSES = 64  # episodes; for fewer, starting processes takes longer than reading


@dataclass(frozen=True, slots=True)
class Opening:
    """How the episodes of a data set are opened; arguments of `EpisodeReader`."""

    history_len: int = 8
    future_len: int = 32
    with_depth: bool = True
    steps: Steps = Steps.ARC_LENGTH

    def open(self, directory: Path) -> EpisodeReader:
        """Return the reader of an episode; raises `DataError` when it is broken."""
        return EpisodeReader(
            directory,
            history_len=self.history_len,
            future_len=self.future_len,
            with_depth=self.with_depth,
            steps=self.steps,
        )


@dataclass(frozen=True, slots=True)
class EpisodeIndex:
    """What was found.

    Attributes:
        items: episode directory and slot of every usable slot, those of an episode by time.
        rejected: episode directory -> why it cannot be read.
        unusable: reason -> number of slots that are left out for it.
        captioned: usable slots whose frame has an instruction.
    """

    items: tuple[tuple[Path, int], ...] = ()
    rejected: dict[Path, str] = field(default_factory=dict)
    unusable: dict[str, int] = field(default_factory=dict)
    captioned: int = 0

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        directories = list(dict.fromkeys(directory for directory, _ in self.items))
        number = {directory: k for k, directory in enumerate(directories)}
        values = {
            "directories": [str(d) for d in directories],
            "items": [[number[d], slot] for d, slot in self.items],
            "rejected": {str(d): reason for d, reason in self.rejected.items()},
            "unusable": self.unusable,
            "captioned": self.captioned,
        }
        replace_file(path, lambda p: p.write_text(json.dumps(values), encoding="utf-8"))

    @classmethod
    def load(cls, path: Path) -> EpisodeIndex:
        """Read what `save` wrote; raises `DataError` when it is damaged."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            directories = [Path(d) for d in values["directories"]]
            return cls(
                tuple((directories[k], int(slot)) for k, slot in values["items"]),
                {Path(d): reason for d, reason in values["rejected"].items()},
                values["unusable"],
                values["captioned"],
            )
        except (OSError, KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"cannot read episode index {path}: {error}") from error


def index_episodes(
    directories: Sequence[Path],
    opening: Opening,
    sampling: SamplingSettings,
    *,
    workers: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> EpisodeIndex:
    """Look at every slot of every episode; the result does not depend on ``workers``.

    Args:
        directories: of the episodes.
        opening: how they are read.
        sampling: rules that a slot must pass.
        workers: processes.
        on_progress: called with episodes done and episodes in all.
    """
    jobs = [(Path(d), opening, sampling) for d in directories]
    items: list[tuple[Path, int]] = []
    rejected: dict[Path, str] = {}
    unusable: Counter[str] = Counter()
    captioned = 0
    for done, (job, found) in enumerate(zip(jobs, _looks(jobs, workers)), start=1):
        if isinstance(found, str):
            rejected[job[0]] = found
        else:
            slots, reasons, spoken = found
            items += [(job[0], slot) for slot in slots]
            unusable.update(reasons)
            captioned += spoken
        on_progress(done, len(jobs))
    return EpisodeIndex(tuple(items), rejected, dict(unusable), captioned)


def _looks(jobs: list[tuple], workers: int) -> Iterator[str | tuple]:
    if workers <= 1 or len(jobs) < _WORTH_PROCESSES:
        yield from map(_look, jobs)
        return
    # not forked: the caller may hold threads and a GPU
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_look, jobs, chunksize=8)


def _look(job: tuple[Path, Opening, SamplingSettings]) -> str | tuple[list, list, int]:
    """Return why an episode is broken, or usable slots, reasons of the others, captioned ones."""
    directory, opening, sampling = job
    try:
        episode = opening.open(directory)
        reasons = list(_reasons(episode, sampling))
    except DataError as error:
        return str(error)
    frame = episode.frame_indices
    usable = sorted((k for k, reason in enumerate(reasons) if not reason), key=lambda k: frame[k])
    spoken = sum(bool(episode.captions.at(int(frame[k]))) for k in usable)
    return usable, [reason for reason in reasons if reason is not None], spoken


def _reasons(episode: EpisodeReader, sampling: SamplingSettings) -> Iterable[str | None]:
    for k in range(len(episode)):
        yield why_unusable(episode.slot(k), sampling, *episode.image_size)
