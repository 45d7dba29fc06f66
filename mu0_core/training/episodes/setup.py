# SPDX-License-Identifier: Apache-2.0
"""Everything that a training on episodes is put together from, before its first update."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mu0_core.data.augment import AugmentSettings
from mu0_core.data.dataset import TraceDataset
from mu0_core.data.index import EpisodeIndex
from mu0_core.data.sample import SampleSettings
from mu0_core.data.sampling import SamplingSettings
from mu0_core.model.checkpoint import WEIGHTS
from mu0_core.model.tensor_file import sha256
from mu0_core.training.episodes.architecture import Blueprint, draw_up
from mu0_core.training.episodes.building import BuiltModel, build
from mu0_core.training.episodes.evaluation import HeldOutEvaluation
from mu0_core.training.episodes.features import (
    FeatureFolder,
    backbone_key,
    check_cacheable,
    fill,
)
from mu0_core.training.episodes.preparation import PreparedData, prepare
from mu0_core.training.episodes.settings import EpisodeTraining
from mu0_core.training.episodes.stream import Collator, SampleStream, Share, StreamLoader
from mu0_core.training.watcher import Watcher

if TYPE_CHECKING:
    from accelerate import Accelerator

_FREE = {"run": ("steps", "accumulation", "trackers", "save_every", "save_dtype"),
         "data": ("workers", "prefetch")}  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """The parts of a training.

    Attributes:
        settings: all of them.
        accelerator: of this process.
        share: which samples this process computes.
        blueprint: of the model; built: the model itself.
        data: that is learned from.
        features: of its frames, or None.
    """

    settings: EpisodeTraining
    accelerator: Accelerator
    share: Share
    blueprint: Blueprint
    data: PreparedData
    built: BuiltModel
    features: FeatureFolder | None

    def loader(self) -> StreamLoader:
        """Return the batches of this process."""
        data, augment = self.settings.data, self.settings.data.augment
        dataset = self._dataset(
            self.data.train,
            self.data.sampling,
            augment=None if augment == AugmentSettings(0, 0) else augment,
            seed=self.settings.run.seed,
        )
        return StreamLoader(
            SampleStream(dataset, self.settings.losses, self.settings.run.seed),
            Collator(self.blueprint.prompts, data.history),
            self.share,
            data.workers,
            data.prefetch,
            pin_memory=self.accelerator.device.type == "cuda",
        )

    def evaluation(self) -> HeldOutEvaluation:
        """Return the measurement on held-out episodes: so many points, however short."""
        settings = self.settings.evaluation
        points = SamplingSettings(settings.points, settings.points, None)
        return HeldOutEvaluation(
            self._dataset(self.data.held_out, points),
            self.blueprint.prompts,
            self.built.model.config,
            settings,
            self.settings.data.workers,
            self.accelerator,
        )

    def fingerprint(self) -> dict[str, object]:
        """Return what must not change while a training continues."""
        values = dataclasses.asdict(self.settings)
        for section, names in _FREE.items():
            for name in names:
                del values[section][name]
        for name in ("episodes", "split_file"):  # the fingerprint of the data speaks of them
            del values["data"][name]
        if self.blueprint.start is not None:
            values["start_weights"] = sha256(self.blueprint.start / WEIGHTS)
        return {**values, "data_fingerprint": self.data.fingerprint}

    def _dataset(self, index: EpisodeIndex, sampling: SamplingSettings, **how) -> TraceDataset:
        config, opening = self.built.model.config, self.data.opening
        sample = SampleSettings(
            config.delta_scale,
            self.data.normalizer.depth_log_range if opening.with_depth else None,
            config.image_size,
            sampling,
            knots=config.trace_knots,
            control_points=config.trace_bspline_n_ctrl,
        )
        return TraceDataset(
            (),
            sample,
            history_len=opening.history_len,
            future_len=opening.future_len,
            steps=opening.steps,
            index=index,
            features=self.features,
            **how,
        )


def set_up(
    settings: EpisodeTraining, work: Path, accelerator: Accelerator, watcher: Watcher
) -> Setup:
    """Prepare data and model; errors are those of `train_on_episodes`."""
    run = settings.run
    world, rank = accelerator.num_processes, accelerator.process_index
    share = Share(run.batch_size, run.accumulation, rank, world)
    blueprint = draw_up(settings)
    with accelerator.main_process_first():
        main = accelerator.is_main_process
        data = prepare(settings, blueprint.config, work, watcher, main=main)
    watcher.stage("model")
    built = build(
        blueprint,
        data.normalizer.delta_scale,
        settings.model,
        settings.fine_tune,
        history=settings.data.history,
        depth=data.opening.with_depth,
        seed=run.seed,
    )
    built.model.expert.checkpointing = run.gradient_checkpointing
    features = None
    if settings.data.feature_folder is not None:
        check_cacheable(settings.data, built.model)
        features = FeatureFolder(Path(settings.data.feature_folder), backbone_key(built.model))
        watcher.stage("backbone features")
        fill(
            features,
            (data.train, data.held_out),
            data.opening,
            built.model.to(accelerator.device),
            bfloat16=run.precision == "bf16",
            rank=rank,
            world=world,
            on_progress=watcher.progress,
        )
        accelerator.wait_for_everyone()
    return Setup(settings, accelerator, share, blueprint, data, built, features)
