# SPDX-License-Identifier: Apache-2.0
"""What a training needs of its data before it starts: split, usable slots, normaliser.

Each is worked out once, by the main process, and kept in the ``work`` folder; the others and a
continued training read it there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mu0_core.atomic_file import replace_file
from mu0_core.data.index import EpisodeIndex, Opening, index_episodes
from mu0_core.data.normalizer import Normalizer
from mu0_core.data.sampling import SamplingSettings
from mu0_core.errors import ConfigError, DataError
from mu0_core.model.config import WorldModelConfig
from mu0_core.spline.curve import least_steps
from mu0_core.training.episodes.evaluation import chosen_slots
from mu0_core.training.episodes.scales import choose_normalizer, measured_normalizer
from mu0_core.training.episodes.settings import TARGETS, EpisodeTraining
from mu0_core.training.episodes.sources import Split, fingerprint, read_split, split_patterns
from mu0_core.training.watcher import Watcher

SPLIT, FINGERPRINT = "split.json", "fingerprint.txt"


@dataclass(frozen=True)
class PreparedData:
    """The data of a training.

    Attributes:
        split: episode folders.
        opening: how they are read.
        sampling: rules of a training sample.
        train: usable slots; held_out: slots that are evaluated.
        normalizer: scales and depth range.
        fingerprint: of all episodes.
    """

    split: Split
    opening: Opening
    sampling: SamplingSettings
    train: EpisodeIndex
    held_out: EpisodeIndex
    normalizer: Normalizer
    fingerprint: str

    def description(self) -> str:
        """Return what a model card says of the data."""
        left_out = sum(self.train.unusable.values())
        return (
            f"{len(self.split.train)} episodes ({len(self.split.held_out)} more held out), "
            f"{len(self.train.items)} usable slots, {self.train.captioned} of them with an "
            f"instruction; {len(self.train.rejected)} broken episodes, {left_out} slots left out; "
            f"fingerprint {self.fingerprint[:16]}"
        )


def shows_depth(settings: EpisodeTraining, config: WorldModelConfig) -> bool:
    """Return whether depth images are shown: as asked, else if the model reads them."""
    return config.use_depth if settings.data.depth is None else settings.data.depth


def prepare(
    settings: EpisodeTraining,
    config: WorldModelConfig,
    work: Path,
    watcher: Watcher,
    *,
    main: bool = True,
) -> PreparedData:
    """Work out, or read back, everything about the data.

    Args:
        settings: of the training.
        config: of the model.
        work: folder that results are kept in.
        watcher: is told of episodes and slots that are left out.
        main: False in processes that read what the main one has just worked out.

    Raises:
        DataError: there are too few episodes, none is usable, or none has an instruction.
        ConfigError: the normaliser contradicts the settings.
    """
    data = settings.data
    if data.split_file is None:
        split = split_patterns(data.episodes, data.held_out_share, data.split_seed)
    else:
        split = read_split(Path(data.split_file))
    opening = Opening(
        config.history_len,
        config.future_len,
        shows_depth(settings, config),
        TARGETS[data.target],
    )
    least = least_steps(config.trace_knots, config.trace_bspline_n_ctrl)
    sampling = SamplingSettings(data.points_min, data.points_max, least, data.min_future_motion)
    total = _fingerprint(split, work, main)
    index, others = (
        _kept_index(side, opening, rules, work, f"{name}-{total}", data.workers, watcher)
        for name, side, rules in (
            ("train", split.train, sampling),
            ("held_out", split.held_out, SamplingSettings(n_ctrl=None)),
        )
    )
    _check(index, data.captions, watcher)
    normalizer = _normalizer(settings, config, index, opening, work, total, watcher)
    if opening.with_depth and normalizer.depth_log_range is None:
        raise ConfigError(
            "the model is shown depth images, but the kept normaliser has no depth range; "
            "--normalizer recompute, or data.depth: false"
        )
    held_out = chosen_slots(others, settings.evaluation)
    return PreparedData(split, opening, sampling, index, held_out, normalizer, total)


def _fingerprint(split: Split, work: Path, main: bool) -> str:
    """Return the sum over all episodes; one process looks at the files, and leaves the split."""
    path = work / FINGERPRINT
    if main:
        split.save(work / SPLIT)
        total = fingerprint([*split.train, *split.held_out])
        replace_file(path, lambda temporary: temporary.write_text(total, encoding="utf-8"))
    return path.read_text(encoding="utf-8")


def _kept_index(
    folders: Sequence[Path],
    opening: Opening,
    rules: SamplingSettings,
    work: Path,
    key: str,
    workers: int,
    watcher: Watcher,
) -> EpisodeIndex:
    path = work / f"index-{_short(key, opening, rules, *folders)}.json"
    if path.is_file():
        return EpisodeIndex.load(path)
    watcher.stage(f"usable slots of {len(folders)} episodes")
    index = index_episodes(folders, opening, rules, workers=workers, on_progress=watcher.progress)
    index.save(path)
    return index


def _check(index: EpisodeIndex, captions: str, watcher: Watcher) -> None:
    """Refuse data without anything to learn; tell what is left out."""
    if index.rejected:
        directory, reason = next(iter(index.rejected.items()))
        watcher.note(f"{len(index.rejected)} broken episodes left out; {directory.name}: {reason}")
    for reason, count in sorted(index.unusable.items()):
        watcher.note(f"{count} slots left out: {reason}")
    if not index.items:
        raise DataError(
            f"no usable slot in the training episodes; broken: {index.rejected or 'none'}; "
            f"left out: {index.unusable or 'none'}"
        )
    if not index.captioned and captions == "required":
        raise DataError(
            f"none of {len(index.items)} usable slots has an instruction "
            "(curated_training_texts.json); data.captions: optional trains without"
        )
    if index.captioned < len(index.items):
        count = len(index.items) - index.captioned
        watcher.note(f"{count} of {len(index.items)} usable slots have no instruction")


def _normalizer(
    settings: EpisodeTraining,
    config: WorldModelConfig,
    index: EpisodeIndex,
    opening: Opening,
    work: Path,
    key: str,
    watcher: Watcher,
) -> Normalizer:
    data, fine_tune = settings.data, settings.fine_tune
    name = _short(key, opening, data.normalizer_episodes, settings.run.seed, fine_tune)
    path = work / f"normalizer-{name}.json"
    if path.is_file():
        return Normalizer.from_file(path)
    watcher.stage("normaliser")
    episodes = list(dict.fromkeys(directory for directory, _ in index.items))
    measured = measured_normalizer(episodes, opening, data.normalizer_episodes, settings.run.seed)
    start = None if fine_tune.start is None else Path(fine_tune.start)
    chosen = choose_normalizer(measured, start, config, fine_tune, watcher.note)
    chosen.to_file(path)
    return chosen


def _short(*parts: object) -> str:
    """Return a name for what was worked out from these things."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:16]
