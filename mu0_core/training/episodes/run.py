# SPDX-License-Identifier: Apache-2.0
"""From folders of episodes to a trained world model; every process of a training runs this.

The output folder is a checkpoint in the released layout with the last weights, ``best`` below it
one with the best, and ``work`` holds what a continued training needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mu0_core.training.episodes.evaluation import HeldOutEvaluation
from mu0_core.training.episodes.module import TraceTraining
from mu0_core.training.episodes.processes import ManyProcesses, distribute, start_processes
from mu0_core.training.episodes.results import Results, flat
from mu0_core.training.episodes.settings import EpisodeTraining
from mu0_core.training.episodes.setup import set_up
from mu0_core.training.loop import LoopSettings, train
from mu0_core.training.model_card import Provenance
from mu0_core.training.schedule import Budget, LearningRate
from mu0_core.training.train_state import Progress
from mu0_core.training.watcher import Watcher

WORK = "work"


@dataclass(frozen=True)
class EpisodeObjective:
    """`mu0_core.training.loop.Objective` of a model that processes share."""

    parameters: Mapping[str, nn.Parameter]
    module: nn.Module
    evaluation: HeldOutEvaluation

    def evaluate(self) -> dict[str, float]:
        """Return metrics on held-out episodes."""
        return self.evaluation(self.module)


def train_on_episodes(
    settings: EpisodeTraining,
    out: Path,
    provenance: Callable[[str], Provenance],
    watcher: Watcher | None = None,
) -> Progress:
    """Train a world model and export it to ``out``.

    Args:
        settings: all of them.
        out: folder of the checkpoint and of what is kept.
        provenance: makes the model card's provenance of a description of the data.
        watcher: is told what happens; only that of the main process.

    Raises:
        ConfigError: settings do not fit together, the data, or the checkpoint started from.
        DataError: no usable data, another training's ``work``, or a file cannot be written.
        ModelError, MissingWeightsError: weights are missing or damaged.
        NonFiniteOutputError: the training diverged.
    """
    work = out / WORK
    accelerator = start_processes(settings.run, work)
    shown = watcher if watcher is not None and accelerator.is_main_process else Watcher()
    setup = set_up(settings, work, accelerator, shown)
    model = setup.built.model
    module = distribute(TraceTraining(model, settings.run.precision == "bf16"), accelerator)
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    results = Results(setup, out, provenance(setup.data.description()))
    accelerator.init_trackers("mu0", config=flat(dataclasses.asdict(settings), plain=True))
    shown.stage("training")

    def on_step(progress: Progress, spent: float) -> None:
        shown.step(progress, spent)
        results.track(progress)

    progress = train(
        EpisodeObjective(learning, module.train(), setup.evaluation()),
        loop_settings(settings),
        Budget(steps=settings.run.steps),
        work,
        setup.fingerprint(),
        on_step,
        processes=ManyProcesses(accelerator, module, setup.loader()),
        averaging=settings.optimiser.average,
        on_evaluation=results.keep_best,
    )
    results.write(out, progress)
    accelerator.end_training()
    return progress


def loop_settings(settings: EpisodeTraining) -> LoopSettings:
    """Return the settings of the training loop."""
    o, run = settings.optimiser, settings.run
    return LoopSettings(
        learning_rate=LearningRate(o.learning_rate, o.warmup_steps, o.floor, o.cosine),
        weight_decay=o.weight_decay,
        clip_norm=o.clip_norm,
        betas=o.betas,
        eps=o.eps,
        seed=run.seed,
        checkpoint_every=run.save_every,
        evaluate_every=settings.evaluation.every,
        max_skipped=run.max_skipped,
    )
