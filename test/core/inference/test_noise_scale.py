# SPDX-License-Identifier: Apache-2.0
"""How much of a single forecast and of a chunk is chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mu0_core.action_expert.trace_policy_config import TracePolicyConfig
from mu0_core.errors import ConfigError
from mu0_core.inference import runtime
from mu0_core.inference.forecaster import WorldModelForecaster
from mu0_core.robot.description import load_robot
from mu0_core.simulation.world import TableWorld


@pytest.fixture(scope="module")
def scene():
    world = TableWorld()
    world.reset(50_000)
    frame = world.render()
    state, pose = world.proprioception(), world.T_base_camera
    world.close()
    return frame, runtime.make_selector().select(frame, 16), state, pose


@pytest.fixture(scope="module")
def shipped():
    return runtime.load_forecaster()


def forecasts(forecaster, scene, samples):
    frame, query, *_ = scene
    return [
        forecaster.forecast(
            frame, "press the button", query, num_samples=samples, seed=seed
        ).control_points
        for seed in (1, 2)
    ]


def test_noise_scales_a_single_sample_and_leaves_several_alone(shipped, scene):
    model, tokenizer = shipped.model, shipped._tokenizer

    def differ(scale, samples):
        one, two = forecasts(
            WorldModelForecaster(model, tokenizer, "m", noise_scale=scale), scene, samples
        )
        return float(np.abs(one - two).max())

    assert differ(0.0, 1) == 0.0
    assert 0.0 < differ(0.3, 1) < differ(1.0, 1)
    assert differ(0.0, 3) == differ(1.0, 3) > 0.0


@pytest.mark.parametrize("scale", [-0.1, 1.1, float("nan")])
def test_a_noise_scale_outside_its_range_is_refused(shipped, scale):
    with pytest.raises(ConfigError, match="noise_scale"):
        WorldModelForecaster(shipped.model, shipped._tokenizer, "m", noise_scale=scale)
    with pytest.raises(ConfigError, match="noise_scale"):
        TracePolicyConfig(noise_scale=scale)


def test_noise_scales_a_chunk(shipped, scene):
    frame, query, state, pose = scene
    forecast = shipped.forecast(frame, "press the button", query)
    expert = runtime.load_action_expert(runtime.DEFAULT_ACTION_EXPERT, load_robot("fr3"))
    config = expert.policy.config

    def chunk(scale, seed):
        expert.policy.config = replace(config, noise_scale=scale)
        return expert.propose(forecast, state, pose, start_ns=0, seed=seed).positions_rad

    still = [chunk(0.0, seed) for seed in (1, 2)]
    np.testing.assert_array_equal(*still)
    low, high = (np.abs(chunk(s, 1)[:4] - chunk(s, 2)[:4]).max() for s in (0.2, 1.0))
    assert 0 < low < high
