# SPDX-License-Identifier: Apache-2.0
"""From recordings of a new task to a checkpoint that knows it: extract, teach, measure.

Each part goes on where it was when it was stopped: extraction stage by stage, lessons episode by
episode, the training update by update.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mu0_core.atomic_file import replace_file
from mu0_core.errors import DataError
from mu0_core.model.checkpoint import WEIGHTS
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.loading import CONFIG
from mu0_core.model.tensor_file import sha256
from mu0_core.trace_extract.run import Outcome
from mu0_core.trace_extract.sources.reading import ClipRef
from mu0_core.training.adaptation.lesson_sets import LessonSets, build_sets
from mu0_core.training.adaptation.lessons import LessonForm
from mu0_core.training.adaptation.recordings import (
    Recording,
    extract_recordings,
    find_recordings,
)
from mu0_core.training.adaptation.settings import Adaptation
from mu0_core.training.episodes.evaluation import BEST
from mu0_core.training.episodes.module import TraceTraining
from mu0_core.training.episodes.processes import distribute, start_processes
from mu0_core.training.episodes.run import WORK, train_on_episodes
from mu0_core.training.episodes.settings import EpisodeTraining
from mu0_core.training.episodes.setup import set_up
from mu0_core.training.episodes.sources import find_episodes
from mu0_core.training.model_card import Provenance
from mu0_core.training.watcher import Watcher

RECORD = "adaptation.json"
_MAY_CHANGE = ("steps", "save_every", "workers")  # when an adaptation continues
Metrics = dict[str, float]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        recordings: files and folders.
        start: folder of the checkpoint that is adapted.
        out: folder of the new one.
        text: the sentence of all recordings; None = each has its own.
        replay: folder of episodes of old tasks, or None.
    """

    recordings: tuple[Path, ...]
    start: Path
    out: Path
    text: str | None = None
    replay: Path | None = None


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came of it: errors before and after; those of old tasks are None without any.

    Attributes:
        recordings: that were learned from or measured on.
        measured: names of those that were measured on.
        slots: pictures of the new task that were learned from.
        new, old: (before, after) metrics of a `HeldOutEvaluation`.
    """

    recordings: tuple[Recording, ...]
    measured: tuple[str, ...]
    slots: int
    new: tuple[Metrics, Metrics]
    old: tuple[Metrics, Metrics] | None


def adapt(
    request: Request,
    settings: Adaptation,
    provenance: Callable[[str], Provenance],
    watcher: Watcher | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Adapted:
    """Adapt a checkpoint and export it to ``request.out``.

    Args:
        request: what is asked for.
        settings: how.
        provenance: makes the model card's provenance of a description of the data.
        watcher: is told what happens.
        on_outcome: is told what became of each recording.

    Raises:
        ConfigError: the checkpoint is none, or does not fit the settings.
        DataError: no recording, one that gives no traces, has no sentence or no usable slot; old
            episodes that are none or shorter than the model's horizon; ``out`` holds something
            else; a file cannot be written.
        ModelError, MissingWeightsError: weights are missing or damaged.
        NonFiniteOutputError: the training diverged.
    """
    watcher = watcher or Watcher()
    config = WorldModelConfig.from_json(request.start / CONFIG)
    refs = find_recordings(request.recordings, settings.extract)
    replay = _old_episodes(request.replay)
    work = request.out / WORK
    _claim(request, settings, refs, replay)
    watcher.stage(f"traces of {len(refs)} recordings")
    recordings = extract_recordings(
        refs, settings.extract, work / "recordings", request.text, on_outcome
    )
    watcher.stage("lessons")
    form = LessonForm(config.history_len, config.future_len, config.image_size)
    sets = build_sets(recordings, replay, work / "lessons", form, settings, watcher.progress)
    features = work / "features"
    split = sets.write_split(work / "new.json", sets.measured)
    new = settings.training(request.start, split, features)
    before = measured(new, work / "before", watcher)
    old = old_before = None
    if sets.measured_old:
        split = sets.write_split(work / "old.json", sets.measured_old)
        old = settings.training(request.start, split, features)
        old_before = measured(old, work / "before_old", watcher)

    def origin(data: str) -> Provenance:
        return provenance(_story(data, request, recordings, sets, before, old_before))

    train_on_episodes(new, request.out, origin, watcher)
    after = measured(_of(new, request.out), work / "after", watcher, again=True)
    both_old = None
    if old is not None:
        both_old = (
            old_before,
            measured(_of(old, request.out), work / "after_old", watcher, again=True),
        )
    return Adapted(
        tuple(recordings),
        tuple(path.name for path in sets.measured),
        sets.slots(),
        (before, after),
        both_old,
    )


def measured(
    settings: EpisodeTraining, folder: Path, watcher: Watcher, again: bool = False
) -> Metrics:
    """Return the errors of the model that a training would start from, on what it holds out.

    They are kept in ``folder`` and read there unless wanted ``again``.
    """
    path = folder / "metrics.json"
    if path.is_file() and not again:
        return json.loads(path.read_text(encoding="utf-8"))
    watcher.stage("errors on what is held out")
    accelerator = start_processes(settings.run, folder)
    setup = set_up(settings, folder, accelerator, Watcher())
    half = settings.run.precision == "bf16"
    module = distribute(TraceTraining(setup.built.model, half), accelerator)
    metrics = setup.evaluation()(module)
    _write(path, metrics)
    return metrics


def _of(settings: EpisodeTraining, start: Path) -> EpisodeTraining:
    """Return the settings that measure another checkpoint."""
    tuned = dataclasses.replace(settings.fine_tune, start=str(start), lora_rank=0)
    return dataclasses.replace(settings, fine_tune=tuned)


def _old_episodes(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    found = find_episodes(str(folder))
    if not found:
        raise DataError(
            f"{folder}: no episodes of old tasks there (mu0 collect --format episodes makes some)"
        )
    return found


def _claim(
    request: Request, settings: Adaptation, refs: Sequence[ClipRef], replay: Sequence[Path]
) -> None:
    """Note in the output folder what it is for; refuse one that is for something else."""
    values = dataclasses.asdict(settings)
    for name in _MAY_CHANGE:
        del values[name]
    wanted = {
        "start": sha256(request.start / WEIGHTS),
        "recordings": [str(ref.path.resolve()) for ref in refs],
        "text": request.text,
        "replay": [path.name for path in replay],
        "settings": values,
    }
    wanted = json.loads(json.dumps(wanted))  # as it is read back
    path = request.out / WORK / RECORD
    if path.is_file():
        there = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in wanted if wanted[name] != there.get(name)]
        if changed:
            raise DataError(
                f"{request.out} holds another adaptation ({', '.join(changed)} differ); choose "
                "another --out"
            )
    elif request.out.exists() and any(request.out.iterdir()):
        raise DataError(f"{request.out} holds something else; choose another --out")
    _write(path, wanted)


def _story(
    data: str,
    request: Request,
    recordings: Sequence[Recording],
    sets: LessonSets,
    before: Metrics,
    old_before: Metrics | None,
) -> str:
    """Return what the model card says of the data."""
    said = "; ".join(f"{r.name}: {r.sentence or 'its own sentences'}" for r in recordings)
    held = ", ".join(path.name for path in sets.measured)
    text = (
        f"adapted from {request.start.name} with {len(recordings)} recordings without action "
        f"labels ({said}), measured on {held}, where {BEST} was {before[BEST]:.4g} before; {data}"
    )
    if old_before is not None:
        text += f"; {len(sets.old)} episodes of old tasks, {BEST} {old_before[BEST]:.4g} before"
    return text


def _write(path: Path, values: Mapping[str, object]) -> None:
    text = json.dumps(values, indent=1) + "\n"
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
