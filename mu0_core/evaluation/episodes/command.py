# SPDX-License-Identifier: Apache-2.0
"""From names and folders to an evaluation: what the command line asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from mu0_core.data.episode import Steps
from mu0_core.errors import ConfigError, DataError
from mu0_core.evaluation.episodes.evaluate import Evaluation, Watcher, evaluate
from mu0_core.evaluation.episodes.methods import ConstantVelocity, Method, NoMotion
from mu0_core.evaluation.episodes.models import (
    ModelMethod,
    ModelSource,
    find_model,
    load_model,
    trained_steps,
)
from mu0_core.evaluation.episodes.nearest import collect_traces
from mu0_core.evaluation.episodes.scenes import read_scenes
from mu0_core.evaluation.episodes.settings import EvaluateSettings
from mu0_core.evaluation.episodes.sources import EpisodeSources, check_unseen, find_sources
from mu0_core.inference.calibration import CALIBRATION_FILE
from mu0_core.training.disk import writing

NO_HISTORY = "constant velocity: points whose past is not known stay where they are"


@dataclass(frozen=True)
class EvaluateOptions:
    """What is evaluated.

    Attributes:
        models: ``[NAME=]FOLDER`` or ids.
        data, train: see `find_sources`.
        rules: of selection to study; select_samples: samples they choose from.
        calibrate: write what was calibrated beside each model.
        allow_training_data: only warn about episodes that a model was trained on.
        device: where models run.
    """

    models: tuple[str, ...]
    data: str
    train: str | None = None
    rules: tuple[str, ...] = ()
    select_samples: int = 0
    calibrate: bool = False
    allow_training_data: bool = False
    device: str = "cpu"


def evaluate_models(
    options: EvaluateOptions, settings: EvaluateSettings, watcher: Watcher
) -> tuple[Evaluation, list[Path]]:
    """Evaluate models and baselines; return the results and the files that were written.

    Raises:
        ConfigError, DataError, ModelError: see the messages; nothing is written then.
    """
    sources = find_sources(options.data, options.train)
    models = [find_model(text) for text in options.models]
    _check_names(models)
    notes = _check_unseen(models, sources, options.allow_training_data)
    steps = _common_steps(models)
    loaded = []
    for source in models:
        watcher.stage(f"load {source.name}")
        model, prompts = load_model(source)
        device = torch.device(options.device)
        loaded.append(ModelMethod(source, model, prompts, settings, steps, device))
    watcher.stage("read the episodes")
    history = [m.model.config.history_len for m in loaded] if settings.history else []
    scenes = read_scenes(
        sources.evaluated,
        settings,
        steps=steps,
        history_len=max(history, default=1),
        on_progress=watcher.progress,
    )
    baselines: list[Method] = [NoMotion(settings.steps), ConstantVelocity(settings.steps)]
    if not all(scene.known_back.all() for scene in scenes.scenes):
        notes.append(NO_HISTORY)
    if sources.train:
        watcher.stage("read training traces")
        nearest = collect_traces(sources.train, settings.steps, steps=steps, seed=settings.seed)
        baselines.append(nearest)
        notes.append(nearest.note)
    result = evaluate(
        [*loaded, *baselines],
        scenes,
        settings,
        watcher,
        groups=sources.groups,
        rules=options.rules,
        select_samples=options.select_samples,
    )
    result.notes.extend(notes)
    return result, _calibrate(result, loaded) if options.calibrate else []


def _check_names(models: list[ModelSource]) -> None:
    names = [model.name for model in models] + [NoMotion.name, ConstantVelocity.name]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two rows are called {', '.join(twice)}: name them with NAME=FOLDER")


def _check_unseen(models: list[ModelSource], sources: EpisodeSources, allowed: bool) -> list[str]:
    """Return warnings; raises `DataError` for a model that has seen what it is asked."""
    notes = []
    for model in models:
        try:
            note = check_unseen(model.name, model.folder, sources.evaluated)
        except DataError as error:
            if not allowed:
                raise
            note = f"WARNING: {error}"
        notes += [note] if note else []
    return notes


def _common_steps(models: list[ModelSource]) -> Steps:
    """Return what a step is to all models.

    Raises:
        ConfigError: they differ, so that one truth does not fit them.
    """
    found = {model.name: trained_steps(model) for model in models}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name}: {steps.name.lower()}" for name, steps in found.items())
        raise ConfigError(f"a step is not the same to all models ({listed}); evaluate them apart")
    return next(iter(found.values()), Steps.ARC_LENGTH)


def _calibrate(result: Evaluation, models: list[ModelMethod]) -> list[Path]:
    studies = {row.name: row.study for row in result.rows}
    paths = []
    for model in models:
        found, folder = studies[model.name], model.source.folder
        if found is not None:
            with writing(folder / CALIBRATION_FILE):
                paths.append(found.calibration.save(folder))
    return paths
