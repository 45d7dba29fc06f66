# SPDX-License-Identifier: Apache-2.0
"""Errors that all samples share: what repeats is learned, what does not is left alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mu0_core.errors import DataError, ShapeError
from mu0_core.inference.correction import OUTPUTS, WAYS, PathCorrection, fit_correction

STEPS = 8


def world(seed, points=300, bias=1.0):
    """Return samples of a model that falls short on the right side, query points and truth."""
    rng = np.random.default_rng(seed)
    query = rng.uniform([-0.3, -0.2, 0.8], [0.3, 0.2, 1.2], (points, 3))
    way = 0.2 * rng.normal(size=(points, 1, 3)) * np.linspace(0.125, 1, STEPS)[:, None]
    truth = query[:, None] + way
    short = bias * 0.3 * (query[:, :1, None] > 0) * way
    noise = 0.01 * rng.normal(size=(6, points, 1, 3))
    return (truth - short)[None] + noise, query, truth, np.ones((points, STEPS), bool)


def error(paths, truth):
    return np.linalg.norm(paths - truth, axis=-1).mean()


def test_an_error_that_repeats_is_mended_on_new_points():
    learned = fit_correction(*world(0))
    samples, query, truth, _ = world(1)
    mean = samples.mean(axis=0)
    assert error(mean + learned(samples, query), truth) < 0.85 * error(mean, truth)


def test_chance_is_left_alone():
    learned = fit_correction(*world(2, bias=0.0))
    samples, query, truth, _ = world(3, bias=0.0)
    mean = samples.mean(axis=0)
    assert error(mean + learned(samples, query), truth) < 1.1 * error(mean, truth)


def test_far_from_what_was_taught_nothing_changes():
    learned = fit_correction(*world(0))
    samples, query, *_ = world(1)
    away = np.array([5.0, 0, 0])
    assert np.abs(learned(samples + away, query + away)).max() < 1e-6


def test_steps_that_are_not_valid_teach_nothing():
    samples, query, truth, valid = world(0)
    hidden = truth.copy()
    valid[:, 5:] = False
    hidden[:, 5:] = np.inf
    learned = fit_correction(samples, query, hidden, valid)
    assert np.abs(learned(samples, query)[:, 5:]).max() < 1e-9
    with pytest.raises(DataError, match="no point with valid steps"):
        fit_correction(samples, query, truth, np.zeros_like(valid))


def test_many_points_are_thinned_by_seed_and_few_are_enough(monkeypatch):
    from mu0_core.inference import correction

    monkeypatch.setattr(correction, "MOST_SUPPORT", 50)
    kept = [fit_correction(*world(0), seed=k).support for k in (1, 1, 2)]
    assert len(kept[0]) == 50 and np.array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[0], kept[2])
    samples, query, truth, valid = (x[:, :3] if x.ndim == 4 else x[:3] for x in world(0))
    few = fit_correction(samples, query, truth, valid)
    assert np.isfinite(few(samples, query)).all() and len(few.ways) == 3


def test_a_file_keeps_it_and_damage_is_named():
    learned = fit_correction(*world(0))
    assert learned.steps == STEPS and len(learned.ways) == WAYS
    assert len(learned.outputs) == OUTPUTS
    values = json.loads(json.dumps(learned.to_json()))
    samples, query, *_ = world(1)
    np.testing.assert_allclose(
        PathCorrection.from_json(values)(samples, query), learned(samples, query), atol=1e-4
    )
    for change in (
        {"ways": None}, {"support": [[1.0]]}, {"scale": [0.0] * (WAYS + 4)},
        {"weights": values["weights"][:-1]}, {"center": values["center"][:-1]},
    ):  # fmt: skip
        with pytest.raises(DataError, match="correction"):
            PathCorrection.from_json(values | change)
    with pytest.raises(DataError, match="no correction"):
        PathCorrection.from_json([])
    with pytest.raises(DataError, match="finite"):
        replace(learned, weights=learned.weights * np.nan)
    with pytest.raises(ShapeError, match="paths of 7 steps, corrected are 8"):
        learned(samples[:, :, :7], query)
