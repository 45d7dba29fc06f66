# SPDX-License-Identifier: Apache-2.0
"""Small episodes, a random model of a few thousand weights, and a watcher."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from mu0_core.evaluation.episodes.scenes import read_scenes
from mu0_core.evaluation.episodes.settings import EvaluateSettings
from mu0_core.model.build import build_world_model
from mu0_core.model.loading import save_world_model
from mu0_core.testing.synthetic_episode import write_episode
from mu0_core.training.episodes.sources import find_episodes
from mu0_core.training.episodes.tiny_profile import TINY_SIZES, TINY_WORLD_MODEL


class Quiet:
    """Remembers the stages that it is told."""

    def __init__(self):
        self.stages = []

    def stage(self, text):
        self.stages.append(text)

    def progress(self, done, total):
        assert 0 < done <= total


@pytest.fixture
def quiet():
    return Quiet()


@pytest.fixture(scope="session")
def episodes(tmp_path_factory):
    """Return a folder with six episodes of four slots."""
    folder = tmp_path_factory.mktemp("episodes")
    for seed in range(6):
        write_episode(folder / f"episode{seed}", seed)
    return folder


@pytest.fixture
def copy(episodes, tmp_path):
    """Return a copy of the episodes to spoil."""
    return shutil.copytree(episodes, tmp_path / "data")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Return the folder of a random tiny model."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = replace(TINY_WORLD_MODEL, delta_scale=(0.5, 0.5, 0.1))
        model = build_world_model(config, TINY_SIZES)
        for parameter in model.parameters():  # a new expert starts blind to what it is shown
            parameter.data += 0.05 * torch.randn_like(parameter)
        save_world_model(model, folder)
    return folder


@pytest.fixture
def settings():
    return EvaluateSettings(samples=3, points=4, slots="all", horizons=(4, 8), resamples=100)


@pytest.fixture
def read(settings):
    """Return a function that reads the scenes of a folder."""

    def function(folder, **changes):
        return read_scenes(find_episodes(str(folder)), replace(settings, **changes))

    return function
