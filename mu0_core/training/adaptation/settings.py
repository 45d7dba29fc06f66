# SPDX-License-Identifier: Apache-2.0
"""All settings of an adaptation; a YAML file is a view of `Adaptation`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mu0_core.data.augment import AugmentSettings
from mu0_core.errors import ConfigError
from mu0_core.trace_extract.settings import ExtractSettings
from mu0_core.trace_extract.stages.segments import SHORT
from mu0_core.trace_extract.stages.slots import SlotSettings
from mu0_core.training.adaptation.lesson_rows import LessonSettings
from mu0_core.training.episodes.settings import (
    DataSettings,
    EpisodeTraining,
    EvaluationSettings,
    FineTuneSettings,
    LossSettings,
    OptimiserSettings,
    RunSettings,
)
from mu0_core.training.flow_time import FlowTime

_EVERY_SLOT = tuple(range(256))
_NEVER = 10**9  # updates between two evaluations: there is one at the end


def _short_extract() -> ExtractSettings:
    """Return settings for recordings of some seconds: a slot every second frame."""
    return ExtractSettings(segments=SHORT, slots=SlotSettings(every_frames=2))


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How a model is adapted.

    Attributes:
        extract: how traces are found in the recordings.
        lessons: what is learned of them.
        views: of each frame that is learned from: as it is, and moved and scaled a little.
        held_out: recordings that are not learned from but measured on, the last ones; of a single
            recording, the same one is measured on.
        replay_share: share of the samples that come from old tasks; of the old episodes, drawn at
            random, so many are used.
        replay_measured: old episodes that are measured on, at most half of them.
        lora_rank: of the adapters; 0 trains the whole expert.
        learning_rate: constant.
        steps: updates; batch_size: samples of each.
        points: most query points of a sample, which has at least half as many.
        flow_time: which flow times are visited.
        precision: as of a training.
        seed: of everything.
        save_every: updates between two states.
        workers: loader processes.
    """

    extract: ExtractSettings = field(default_factory=_short_extract)
    lessons: LessonSettings = field(default_factory=LessonSettings)
    views: int = 3
    held_out: int = 1
    replay_share: float = 0.6
    replay_measured: int = 15
    lora_rank: int = 16
    learning_rate: float = 1e-3
    steps: int = 500
    batch_size: int = 8
    points: int = 32
    flow_time: FlowTime = field(default_factory=lambda: FlowTime(least=0.2, exponent=1.6))
    precision: str = "bf16"
    seed: int = 0
    save_every: int = 25
    workers: int = 0

    def __post_init__(self) -> None:
        if self.held_out < 1 or self.views < 1:
            raise ConfigError(
                f"held_out {self.held_out} and views {self.views}: at least one recording is "
                "measured on, and one view is learned from"
            )
        for name in ("steps", "batch_size", "points", "save_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)}: expected at least 1")
        if not 0 < self.replay_share < 1 or self.replay_measured < 1:
            raise ConfigError(
                f"replay_share {self.replay_share} must lie between 0 and 1, replay_measured "
                f"{self.replay_measured} be at least 1"
            )

    def training(self, start: Path, split_file: Path, features: Path) -> EpisodeTraining:
        """Return the settings of the training that starts from a checkpoint.

        Args:
            start: its folder.
            split_file: of the lessons.
            features: folder for what the frozen tower makes of their pictures.
        """
        return EpisodeTraining(
            data=DataSettings(
                split_file=str(split_file),
                points_min=max(1, self.points // 2),
                points_max=self.points,
                history=False,  # a robot at rest has none
                augment=AugmentSettings(0.0, 0.0),
                feature_folder=str(features),
                workers=self.workers,
            ),
            losses=LossSettings(flow_time=self.flow_time),
            optimiser=OptimiserSettings(learning_rate=self.learning_rate, average=True),
            evaluation=EvaluationSettings(every=_NEVER, offsets=_EVERY_SLOT, points=self.points),
            run=RunSettings(
                steps=self.steps,
                batch_size=self.batch_size,
                precision=self.precision,
                seed=self.seed,
                save_every=self.save_every,
                trackers=(),
            ),
            fine_tune=FineTuneSettings(start=str(start), lora_rank=self.lora_rank),
        )
