# SPDX-License-Identifier: Apache-2.0
"""Recordings whose extraction is done already, and a small checkpoint to adapt."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mu0_core.testing.synthetic_episode import write_episode
from mu0_core.trace_extract.episode import FACTS_FILE
from mu0_core.trace_extract.run import settings_key
from mu0_core.training.adaptation.settings import Adaptation
from mu0_core.training.episodes.run import train_on_episodes
from mu0_core.training.episodes.settings import (
    DataSettings,
    EpisodeTraining,
    EvaluationSettings,
    ModelSettings,
    RunSettings,
)
from mu0_core.training.model_card import Provenance


@pytest.fixture(scope="session")
def record():
    """Return a function that makes a recording and, in ``done``, the episode of it."""

    def make(folder: Path, done: Path, seed: int, text: str = "push it", **facts) -> Path:
        name = f"film{seed}"
        (folder / name / "color").mkdir(parents=True)
        for k in range(2):
            image = np.full((12, 16, 3), 30 * seed, np.uint8)
            cv2.imwrite(str(folder / name / "color" / f"{k:06d}.png"), image)
        episode = write_episode(done / name, seed)
        (episode / "description.txt").write_text(f"{text}\n")
        values = {
            "settings_key": settings_key(Adaptation().extract),
            "frames": 4, "source_sha256": str(seed), "dropped": {"tracks seen too shortly": 2},
        }  # fmt: skip
        (episode / FACTS_FILE).write_text(json.dumps(values | facts))
        return folder / name

    return make


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """Return the folder of a tiny trained model."""
    root = tmp_path_factory.mktemp("start")
    for seed in range(4):
        write_episode(root / "data" / f"episode{seed}", seed)
    settings = EpisodeTraining(
        data=DataSettings(episodes=(str(root / "data"),), points_max=6, workers=0),
        model=ModelSettings(architecture="tiny"),
        evaluation=EvaluationSettings(every=100, samples=2, points=4),
        run=RunSettings(steps=2, batch_size=4, trackers=()),
    )
    origin = Provenance("mu0 train", 0, "abc", "")
    train_on_episodes(settings, root / "tiny", lambda data: origin)
    return root / "tiny"
