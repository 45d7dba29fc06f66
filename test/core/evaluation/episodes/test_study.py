# SPDX-License-Identifier: Apache-2.0
"""Choosing one trace and knowing its error: taught on some episodes, reported on others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mu0_core.errors import ConfigError, DataError
from mu0_core.evaluation.episodes.study import study, wanted_rules
from mu0_core.inference.calibration import LEVELS
from mu0_core.inference.selection import RULES
from mu0_core.testing.synthetic_episode import write_episode
from mu0_core.training.episodes.sources import fingerprint


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Return a folder with sixteen episodes."""
    folder = tmp_path_factory.mktemp("many")
    for seed in range(16):
        write_episode(folder / f"e{seed:02d}", seed)
    return folder


def noisy(scenes, count=16, sure=1.0):
    """Return samples around a place that is as far from the truth as they are from it."""
    found = []
    for scene in scenes:
        rng = np.random.default_rng(scene.key)
        scale = rng.uniform(0.02, 0.1, (1, len(scene), 1, 1)) * np.array([1, 1, 0.2])
        center = scene.truth + scale[0] * rng.normal(size=(len(scene), 1, 3))
        shape = (count, len(scene), 1, 3)
        found.append(center[None] + scale / sure * rng.normal(size=shape))
    return found


def test_consensus_closes_the_gap_and_balls_hold_the_truth(read, many, settings):
    scenes = read(many).scenes
    found = study(scenes, noisy(scenes), RULES, settings, "abc")
    assert (found.samples, found.best_of, found.teaching, found.reporting) == (16, 3, 8, 8)
    closed = {rule: found.closed[rule, "metres"].value for rule in RULES}
    assert closed["first"] == 0 and min(closed["mean"], closed["median"]) > 0.5
    assert closed["learned"] > 0.4 and found.calibration.rule not in ("first", "central")
    for level in LEVELS:
        assert found.coverage["calibrated", level].value == pytest.approx(level, abs=0.16)
    assert found.means["best", "uvz"].value < found.means["mean", "uvz"].value
    assert found.calibration.weights_sha256 == "abc"


def test_a_forecast_that_is_too_sure_is_corrected(read, many, settings):
    scenes = read(many).scenes
    found = study(scenes, noisy(scenes, sure=5), ("mean",), settings)
    assert found.coverage["raw", 0.9].value < 0.4
    assert found.coverage["calibrated", 0.9].value == pytest.approx(0.9, abs=0.1)
    assert found.calibration.rule == "mean" and found.calibration.learned is None


def test_what_is_reported_was_not_taught_and_follows_the_seed(read, many, settings):
    scenes = read(many).scenes
    paths = noisy(scenes)
    found = study(scenes, paths, ("mean", "learned"), settings)
    again = study(scenes, paths, ("mean", "learned"), settings)
    assert found.calibration == again.calibration
    other = study(scenes, paths, ("mean", "learned"), replace(settings, seed=1))
    assert other.calibration.data_fingerprint != found.calibration.data_fingerprint
    order = sorted({s.directory for s in scenes})
    assert found.calibration.data_fingerprint != fingerprint(order)
    # what is forecast for an episode changes the factors, or it is reported: never both
    spoilt = {}
    for folder in order[:6]:
        changed = [p + 1.0 if s.directory == folder else p for s, p in zip(scenes, paths)]
        result = study(scenes, changed, ("mean",), settings)
        plain = study(scenes, paths, ("mean",), settings)
        taught = result.calibration != plain.calibration
        assert taught != (result.means["top1", "uvz"] != plain.means["top1", "uvz"])
        spoilt[folder] = taught
    assert len(set(spoilt.values())) == 2


def test_too_little_is_refused(read, many, settings):
    scenes = read(many).scenes
    with pytest.raises(ConfigError, match="at least 2 samples"):
        study(scenes, noisy(scenes, count=1), ("mean",), settings)
    with pytest.raises(DataError, match=r"at least 2 episodes with cameras.npz, there are 1"):
        study(scenes[:4], noisy(scenes[:4]), ("mean",), settings)
    blind = [replace(scene, intrinsics=None) for scene in scenes]
    with pytest.raises(DataError, match="there are 0"):
        study(blind, noisy(scenes), ("mean",), settings)
    assert wanted_rules("all") == RULES and wanted_rules("mean,mode,mean") == ("mean", "mode")
    with pytest.raises(ConfigError, match="selection 'meen'"):
        wanted_rules("mean,meen")
