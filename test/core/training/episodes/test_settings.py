# SPDX-License-Identifier: Apache-2.0
"""The settings check themselves, and the shipped files are views of them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mu0_core.errors import ConfigError
from mu0_core.training.episodes.run import loop_settings
from mu0_core.training.episodes.settings import (
    DataSettings,
    EpisodeTraining,
    EvaluationSettings,
    FineTuneSettings,
    LossSettings,
    ModelSettings,
    RunSettings,
)
from mu0_core.training.flow_sampling import draw_time
from mu0_core.yaml_settings import read_settings

FOLDER = Path(__file__).resolve().parents[4] / "config/train"
SHIPPED = [p for p in sorted(FOLDER.glob("*.yaml")) if not p.name.startswith("accelerate")]
DATA = DataSettings(episodes=("x",))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EpisodeTraining(), "either data.episodes or data.split_file"),
        (lambda: EpisodeTraining(replace(DATA, split_file="s")), "either data.episodes"),
        (lambda: replace(DATA, points_max=257), "points_max <= 256"),
        (lambda: replace(DATA, points_min=9, points_max=8), "points_min <= points_max"),
        (lambda: replace(DATA, held_out_share=1.0), "held_out_share=1.0"),
        (lambda: replace(DATA, target="speed"), r"target='speed': expected one of \('arc_length'"),
        (lambda: replace(DATA, captions="some"), "captions='some'"),
        (lambda: replace(DATA, workers=-1), "workers=-1"),
        (lambda: ModelSettings(knots="cubic"), "knots='cubic'"),
        (lambda: LossSettings(depth_dropout=1.2), "depth_dropout=1.2"),
        (lambda: LossSettings(rigidity_weight=-1), "rigidity_weight=-1"),
        (lambda: EvaluationSettings(samples=0), "samples=0"),
        (lambda: EvaluationSettings(offsets=()), "offsets"),
        (lambda: RunSettings(precision="fp16"), r"precision='fp16': expected one of \('fp32'"),
        (lambda: RunSettings(steps=0), "steps=0"),
        (lambda: RunSettings(save_dtype="int8"), "save_dtype='int8'"),
        (lambda: FineTuneSettings(start="d", normalizer="guess"), "normalizer='guess'"),
        (lambda: FineTuneSettings(lora_rank=4), "need a checkpoint"),
    ],
)
def test_what_cannot_be_trained_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_the_defaults_are_those_of_the_paper():
    settings = EpisodeTraining(DATA)
    loop = loop_settings(settings)
    assert [loop.learning_rate.at(step, 0.5) for step in (0, 7, 10**6)] == [1e-4] * 3
    assert (loop.betas, loop.eps, loop.weight_decay, loop.clip_norm) == (
        (0.9, 0.95), 1e-8, 1e-10, 10.0,
    )  # fmt: skip
    losses = asdict(settings.losses)
    time = losses.pop("flow_time")
    assert list(losses.values()) == [0.5, 5.0, 0.7, 0.5, 0.3]
    assert not settings.optimiser.average and time == {"least": 0.001, "exponent": 1.5}


def test_the_default_flow_time_is_the_papers_draw():
    import torch

    one = LossSettings().flow_time.draw(50, torch.Generator().manual_seed(3))
    torch.testing.assert_close(one, draw_time(50, torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_are_views_of_the_settings(path):
    overrides = ["data.episodes=[x]"]
    if "fine_tune" in path.read_text():
        overrides.append("fine_tune.start=model")
    assert read_settings(EpisodeTraining, path, overrides).run.steps > 0


def test_there_are_shipped_files():
    assert len(SHIPPED) >= 3
