# SPDX-License-Identifier: Apache-2.0
"""Which lessons are learned and which are measured on, in folders below one root.

new/NAME      lessons of the recordings        old/NAME      of episodes of old tasks
measured/NAME of recordings, and measured_old/NAME of old episodes, that are not learned from
copies/K/NAME hard links to new/NAME: a few recordings are shown as often as all old episodes
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mu0_core.atomic_file import replace_file
from mu0_core.data.episode import EpisodeReader
from mu0_core.errors import DataError
from mu0_core.training.adaptation.lesson_rows import LessonSettings
from mu0_core.training.adaptation.lessons import LessonForm, make_lessons
from mu0_core.training.adaptation.recordings import Recording
from mu0_core.training.adaptation.settings import Adaptation

NEW, OLD, MEASURED, MEASURED_OLD = "new", "old", "measured", "measured_old"
_EMPTY = ".empty"  # beside lessons that would have no slot


@dataclass(frozen=True, slots=True)
class LessonSets:
    """Folders of lessons; ``measured_old`` and ``old`` are empty without old episodes."""

    new: tuple[Path, ...]
    measured: tuple[Path, ...]
    old: tuple[Path, ...] = ()
    measured_old: tuple[Path, ...] = ()

    def slots(self) -> int:
        """Return the number of pictures of the new task that are learned from."""
        return sum(map(_slots, self.new))

    def write_split(self, path: Path, measured: Sequence[Path]) -> Path:
        """Write the split of a training that is measured on some of the lessons."""
        sides = {
            "train": [str(p.resolve()) for p in (*self.new, *self.old)],
            "held_out": [str(p.resolve()) for p in measured],
        }
        text = json.dumps(sides, indent=1) + "\n"
        replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return path


def build_sets(
    recordings: Sequence[Recording],
    replay: Sequence[Path],
    root: Path,
    form: LessonForm,
    settings: Adaptation,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> LessonSets:
    """Make the lessons that are not there yet.

    Args:
        recordings: new task, as episodes.
        replay: episodes of old tasks; at least two, or none.
        root: folder of the lessons.
        form: of the model.
        settings: of the adaptation.
        on_progress: called with episodes done and episodes in all.

    Raises:
        DataError: a recording has no usable slot (says what was left out before), an episode is
            broken or shorter than the model's horizon, or there is one old episode only.
    """
    if len(replay) == 1:
        raise DataError(f"{replay[0]}: one old episode; at least 2, one of them is measured on")
    learned, kept = _split_recordings(recordings, settings.held_out)
    jobs = [(r.episode, r.name, NEW, r.sentence) for r in learned]
    jobs += [(r.episode, r.name, MEASURED, r.sentence) for r in kept]
    made: dict[str, list[Path]] = {NEW: [], MEASURED: [], OLD: [], MEASURED_OLD: []}

    def make(source: Path, name: str, kind: str, sentence: str | None = None) -> None:
        folder = root / kind / name
        views = settings.views if kind == NEW else 1
        if _make(source, folder, form, settings.lessons, sentence, settings.seed, views):
            made[kind].append(folder)

    for done, job in enumerate(jobs, start=1):
        make(*job)
        on_progress(done, len(jobs))
    _check(recordings, root)
    order = np.random.default_rng(settings.seed).permutation(len(replay))
    first = min(settings.replay_measured, len(replay) // 2)
    for k in order[:first]:
        make(replay[k], f"{k:06d}", MEASURED_OLD)
    share = settings.replay_share
    wanted = sum(map(_slots, made[NEW])) * share / (1 - share)
    for k in order[first:]:
        if sum(map(_slots, made[OLD])) >= wanted:
            break
        make(replay[k], f"{k:06d}", OLD)
    return LessonSets(*(tuple(made[kind]) for kind in (NEW, MEASURED, OLD, MEASURED_OLD)))


def _split_recordings(
    recordings: Sequence[Recording], held_out: int
) -> tuple[Sequence[Recording], Sequence[Recording]]:
    if len(recordings) == 1:
        return recordings, recordings
    count = min(held_out, len(recordings) - 1)
    return recordings[:-count], recordings[-count:]


def _make(
    source: Path,
    folder: Path,
    form: LessonForm,
    settings: LessonSettings,
    sentence: str | None,
    seed: int,
    views: int,
) -> bool:
    """Make lessons unless they are there; return whether there are any."""
    empty = folder.with_name(folder.name + _EMPTY)
    if folder.exists() or empty.exists():
        return folder.exists()
    if make_lessons(source, folder, form, settings, sentence, seed, views):
        return True
    empty.parent.mkdir(parents=True, exist_ok=True)
    empty.touch()
    return False


def _check(recordings: Sequence[Recording], root: Path) -> None:
    for recording in recordings:
        if not any((root / kind / recording.name).exists() for kind in (NEW, MEASURED)):
            dropped = ", ".join(f"{count} {why}" for why, count in recording.dropped.items())
            raise DataError(
                f"{recording.name}: no usable slot after the extraction; left out before: "
                f"{dropped or 'nothing'}; nothing that stands on the table moves to the end"
            )


def _slots(folder: Path) -> int:
    return len(EpisodeReader(folder, history_len=0, future_len=1, with_depth=False))
