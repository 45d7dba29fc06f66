# SPDX-License-Identifier: Apache-2.0
"""Small episodes whose points move by a rule that a model can learn, and a quick training."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from mu0_core.data.augment import AugmentSettings
from mu0_core.testing.synthetic_episode import write_episode
from mu0_core.training.episodes.run import train_on_episodes
from mu0_core.training.episodes.settings import (
    DataSettings,
    EpisodeTraining,
    EvaluationSettings,
    ModelSettings,
    OptimiserSettings,
    RunSettings,
)
from mu0_core.training.model_card import Provenance
from mu0_core.training.watcher import Watcher


@pytest.fixture(scope="session")
def episodes(tmp_path_factory) -> Path:
    """Return a folder with six episodes, two of them of another image size."""
    folder = tmp_path_factory.mktemp("episodes")
    for seed in range(6):
        write_episode(folder / f"episode{seed}", seed, (48, 36) if seed < 4 else (64, 40))
    return folder


@pytest.fixture
def settings(episodes) -> EpisodeTraining:
    """Return the settings of a training of a second or two."""
    return EpisodeTraining(
        data=DataSettings(
            episodes=(str(episodes),), points_max=6, workers=0, held_out_share=0.2,
            augment=AugmentSettings(0.1, 0.01),
        ),
        model=ModelSettings(architecture="tiny"),
        optimiser=OptimiserSettings(learning_rate=3e-3),
        evaluation=EvaluationSettings(every=100, samples=2, points=4),
        run=RunSettings(steps=4, batch_size=4, save_every=100, trackers=()),
    )  # fmt: skip


class Notes(Watcher):
    """Remembers what it is told; interrupts after an update."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.notes, self.steps, self._stop = [], [], stop_after

    def note(self, text):
        self.notes.append(text)

    def step(self, progress, share):
        self.steps.append((progress.step, progress.running["total"]))
        if progress.step == self._stop:
            raise KeyboardInterrupt


def _origin(data: str) -> Provenance:
    return Provenance("mu0 train world-model", 0, "abc", data)


@pytest.fixture
def run():
    """Return a function (settings, folder) -> progress, what the watcher was told."""

    def train(settings, out, **watch):
        watcher = Notes(**watch)
        return train_on_episodes(settings, out, _origin, watcher), watcher

    return train


@pytest.fixture
def changed():
    """Return a function that changes fields of settings: ``run={"steps": 3}``."""

    def change(settings, **sections):
        return replace(
            settings, **{k: replace(getattr(settings, k), **v) for k, v in sections.items()}
        )

    return change


@pytest.fixture
def tensors():
    """Return a function that reads the weights in a folder."""
    return lambda out: load_file(out / "model.safetensors")


@pytest.fixture
def copy(episodes, tmp_path, settings, changed):
    """Return a copy of the episodes to spoil, and settings that point at it."""
    folder = tmp_path / "data"
    shutil.copytree(episodes, folder)
    return folder, changed(settings, data={"episodes": (str(folder),)})
