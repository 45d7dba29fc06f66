# SPDX-License-Identifier: Apache-2.0
"""The evaluation: every method forecasts every scene, errors are summed, means get intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from mu0_core.evaluation.episodes.methods import Forecasts, Method
from mu0_core.evaluation.episodes.models import OURS, ModelMethod
from mu0_core.evaluation.episodes.scenes import Scene, SceneSet
from mu0_core.evaluation.episodes.scores import METRES, make_block, score
from mu0_core.evaluation.episodes.settings import EvaluateSettings
from mu0_core.evaluation.episodes.study import Study, study
from mu0_core.evaluation.episodes.tally import Bootstrap, Key, Mean, Tally
from mu0_core.model.checkpoint import WEIGHTS
from mu0_core.model.tensor_file import sha256

EVERYTHING = "all"  # the section of all episodes
_BLOCK_POINTS = 1024
_TIMED_SCENES = 30
_WARM_UP = 2


class Watcher(Protocol):
    """Is told how far an evaluation is."""

    def stage(self, text: str) -> None:
        """Note that a stage begins."""

    def progress(self, done: int, total: int) -> None:
        """Note how far it is."""


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        name: of the row.
        steps: that it forecasts.
        sums: key of `scores` -> (M, 2) sum and count of each scene.
        latency_s: of single forecasts; empty when not timed.
        cut: instructions that were cut off.
        study: of its samples, or None.
    """

    name: str
    steps: int
    sums: Mapping[Key, np.ndarray]
    latency_s: tuple[float, ...] = ()
    cut: int = 0
    study: Study | None = None


@dataclass(frozen=True)
class Section:
    """All rows over some of the episodes.

    Attributes:
        name: of the group, `EVERYTHING` for all.
        episodes, slots, points: what was evaluated.
        means: row -> key -> mean with interval.
        relative: axes -> row -> relative difference of the first row of this project to it, of
            the ADE over all steps, ``(axes, which)`` as key.
    """

    name: str
    episodes: int
    slots: int
    points: int
    means: Mapping[str, Mapping[Key, Mean]]
    relative: Mapping[tuple[str, str], Mapping[str, Mean]]


@dataclass(frozen=True)
class Evaluation:
    """All results.

    Attributes:
        settings: how.
        sections: all episodes first, then the groups.
        rows: in the order of the table.
        scenes: what was evaluated and left out.
        notes: what a reader should know.
    """

    settings: EvaluateSettings
    sections: list[Section]
    rows: list[Row]
    scenes: SceneSet
    notes: list[str] = field(default_factory=list)


def evaluate(
    methods: Sequence[Method],
    scenes: SceneSet,
    settings: EvaluateSettings,
    watcher: Watcher,
    *,
    groups: Mapping[str, Sequence[Path]] | None = None,
    rules: Sequence[str] = (),
    select_samples: int = 0,
) -> Evaluation:
    """Evaluate methods on the same scenes.

    Args:
        methods: rows of the table.
        scenes: from `read_scenes`.
        settings: how.
        watcher: is told how far it is.
        groups: name -> episodes that get a section of their own.
        rules: of selection to study, for methods whose samples differ.
        select_samples: samples that rules choose from, if more than ``settings.samples``.

    Raises:
        NonFiniteOutputError: a model fails; a failure is never left out of a mean.
        DataError: an episode cannot be read any more, or there are too few for a study.
    """
    rows = [
        _row(method, scenes.scenes, settings, watcher, rules, select_samples) for method in methods
    ]
    watcher.stage("intervals")
    members = {EVERYTHING: set(scenes.episodes)}
    members |= {name: set(folders) for name, folders in (groups or {}).items()}
    sections = []
    for name, folders in members.items():
        inside = np.array([scene.directory in folders for scene in scenes.scenes])
        if inside.any():
            sections.append(_section(name, rows, scenes.scenes, inside, settings))
    notes = list(scenes.notes)
    missing = [name for name in members if name not in {s.name for s in sections}]
    notes += [f"no slot of the group {name!r} can be evaluated" for name in missing]
    notes += [f"{row.name}: {row.cut} instructions were cut off" for row in rows if row.cut]
    return Evaluation(settings, sections, rows, scenes, notes)


def _row(
    method: Method,
    scenes: Sequence[Scene],
    settings: EvaluateSettings,
    watcher: Watcher,
    rules: Sequence[str],
    select_samples: int,
) -> Row:
    watcher.stage(method.name)
    studied = bool(rules) and isinstance(method, ModelMethod)
    drawn = max(settings.samples, select_samples) if studied else settings.samples
    tally, kept, done = Tally(), [], 0
    for block in _blocks(scenes):
        forecasts = []
        for scene in block:
            found = method.forecast(scene, drawn if method.sampled else 1)
            if studied:
                kept.append(found.paths.astype(np.float32))
            forecasts.append(Forecasts(found.paths[: settings.samples], found.motion))
            done += 1
            watcher.progress(done, len(scenes))
        score(make_block(block, forecasts), settings, tally)
    found, latency, cut = None, (), 0
    if isinstance(method, ModelMethod):
        latency, cut = _timed(method, scenes), method.counts["cut"]
        if studied:
            digest = sha256(method.source.folder / WEIGHTS)
            found = study(scenes, kept, rules, settings, digest)
    return Row(method.name, method.steps, tally.arrays(), latency, cut, found)


def _blocks(scenes: Sequence[Scene]) -> Iterator[list[Scene]]:
    block: list[Scene] = []
    for scene in scenes:
        block.append(scene)
        if sum(map(len, block)) >= _BLOCK_POINTS:
            yield block
            block = []
    if block:
        yield block


def _timed(method: ModelMethod, scenes: Sequence[Scene]) -> tuple[float, ...]:
    """Return the times of some forecasts; what a run leaves in counters is not changed."""
    counts = method.counts.copy()
    chosen = list(scenes[:_TIMED_SCENES])
    for scene in chosen[:_WARM_UP]:
        method.timed(scene)
    times = tuple(method.timed(scene) for scene in chosen)
    method.counts = counts
    return times


def _section(
    name: str,
    rows: Sequence[Row],
    scenes: Sequence[Scene],
    inside: np.ndarray,
    settings: EvaluateSettings,
) -> Section:
    members = [scene for scene, kept in zip(scenes, inside) if kept]
    boot = Bootstrap([s.directory for s in members], settings.resamples, settings.seed)
    sums = {row.name: {key: value[inside] for key, value in row.sums.items()} for row in rows}
    relative: dict[tuple[str, str], dict[str, Mean]] = {}
    ours = next((row.name for row in rows if row.name.startswith(OURS)), None)
    if ours is not None:
        for axes in (METRES, "uvz"):
            for which in ("top1", "best"):
                key = (axes, "ade", settings.steps, which)
                relative[axes, which] = {
                    row.name: boot.relative(sums[ours][key], sums[row.name][key])
                    for row in rows
                    if row.name != ours and key in sums[row.name] and key in sums[ours]
                }
    return Section(
        name,
        boot.episodes,
        len(members),
        sum(map(len, members)),
        {row: boot.means(table) for row, table in sums.items()},
        relative,
    )
