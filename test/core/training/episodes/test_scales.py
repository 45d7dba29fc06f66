# SPDX-License-Identifier: Apache-2.0
"""The normaliser: measured, or kept with a warning, never mixed up in silence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mu0_core.data.index import Opening
from mu0_core.data.normalizer import Normalizer
from mu0_core.errors import ConfigError
from mu0_core.training.episodes.scales import (
    STATS,
    choose_normalizer,
    kept_normalizer,
    measured_normalizer,
)
from mu0_core.training.episodes.settings import FineTuneSettings
from mu0_core.training.episodes.sources import find_episodes
from mu0_core.training.episodes.tiny_profile import TINY_WORLD_MODEL

MEASURED = Normalizer(0.6, 0.5, 0.2, history_len=8, future_len=32)


@pytest.fixture
def start(tmp_path):
    """A function that makes a checkpoint folder of a configuration and a normaliser."""

    def make(scale=(0.5, 0.4, 0.1), stats=None):
        config = replace(TINY_WORLD_MODEL, delta_scale=scale)
        (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
        if stats is not None:
            stats.to_file(tmp_path / STATS)
        return tmp_path

    return make


def choose(start, notes=None, **fine_tune):
    settings = FineTuneSettings(start=str(start), **fine_tune)
    note = (lambda text: None) if notes is None else notes.append
    return choose_normalizer(MEASURED, start, TINY_WORLD_MODEL, settings, note)


def test_it_is_measured_on_a_part_of_the_episodes(episodes):
    folders = find_episodes(str(episodes))
    some = measured_normalizer(folders, Opening(), 3, seed=0)
    assert some.video_fraction == 0.5 and some.depth_num_dirs == 3
    assert some == measured_normalizer(folders, Opening(), 3, seed=0)
    every = measured_normalizer(folders, Opening(with_depth=False), 99, seed=0)
    assert every.video_fraction == 1.0 and every.depth_log_range is None
    assert every.num_samples > some.num_samples


def test_a_new_model_takes_what_was_measured(start):
    assert choose_normalizer(
        MEASURED, None, TINY_WORLD_MODEL, FineTuneSettings(), pytest.fail
    ) is MEASURED  # fmt: skip
    assert choose(start(), normalizer="recompute") is MEASURED


def test_kept_scales_are_those_of_the_configuration(start):
    kept = choose(start((0.61, 0.49, 0.21)))
    assert kept.delta_scale == (0.61, 0.49, 0.21)
    stats = Normalizer(0.610001, 0.49, 0.21, depth_log_min=-1.0, depth_log_max=1.0)
    kept = choose(start((0.61, 0.49, 0.21), stats))
    assert kept.delta_scale == (0.61, 0.49, 0.21) and kept.depth_log_range == (-1.0, 1.0)


def test_data_that_moves_otherwise_is_noted_with_both_numbers(start):
    notes = []
    choose(start((0.6, 0.2, 0.9)), notes)
    assert len(notes) == 2
    assert "along v" in notes[0] and "0.5 is 2.50 times" in notes[0] and "(0.2)" in notes[0]
    assert "along z" in notes[1] and "recompute" in notes[1]


def test_contradictions_are_refused(start):
    other = start((0.5, 0.4, 0.1), Normalizer(0.5, 0.4, 0.3))
    with pytest.raises(ConfigError, match=r"delta_scale: .*\(0.5, 0.4, 0.1\).*\(0.5, 0.4, 0.3\)"):
        choose(other)
    assert choose(other, accept=("delta_scale",)).delta_scale == (0.5, 0.4, 0.1)
    with pytest.raises(ConfigError, match="future_len: wanted 32, .* was measured with 16"):
        kept_normalizer(
            start(stats=Normalizer(0.5, 0.4, 0.1, future_len=16)), TINY_WORLD_MODEL, ()
        )


def test_a_checkpoint_without_scales_is_refused(start):
    with pytest.raises(ConfigError, match="neither config.json nor normalizer_stats.json"):
        choose(start(None))
