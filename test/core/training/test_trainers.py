# SPDX-License-Identifier: Apache-2.0
"""Both trainers on tiny data: targets, held-out metrics, exact resumption, the ablation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mu0_core.action_expert.trace_policy import TracePolicy
from mu0_core.action_expert.trace_policy_config import TracePolicyConfig
from mu0_core.errors import DataError
from mu0_core.inference.language import InstructionEncoder
from mu0_core.model.noise import seeded_noise
from mu0_core.training.action_expert_trainer import (
    ACTION_EXPERT_LOOP,
    ActionExpertObjective,
    ActionExpertSettings,
    Instructions,
    true_control_points,
)
from mu0_core.training.forecast_cache import ForecastCache, ForecastSettings, forecast_slots
from mu0_core.training.loop import train
from mu0_core.training.schedule import Budget
from mu0_core.training.trace_fit import TraceFit
from mu0_core.training.trace_geometry import to_base
from mu0_core.training.train_state import Randomness
from mu0_core.training.world_model_trainer import (
    WORLD_MODEL_LOOP,
    WorldModelObjective,
    WorldModelSettings,
)

POLICY = TracePolicyConfig(
    backbone_width=48, width=32, num_layers=1, mlp_width=48, num_heads=2, num_kv_heads=1,
    head_dim=16, mixer_heads=2, num_steps=2,
)  # fmt: skip


class Interrupted(Exception):
    pass


def interrupt_at_one(progress, share):
    if progress.step == 1:
        raise Interrupted


@pytest.fixture
def world_objective(make_model, slots, cache):
    def make(**changes):
        settings = WorldModelSettings(batch_size=3, points=4, **changes)
        return WorldModelObjective(make_model(), slots, cache, slots.validation(0.04), settings)

    return make


@pytest.fixture
def expert_objective(make_model, slots):
    def make(forecasts=None, **config):
        model = make_model()
        encoder = InstructionEncoder(
            lambda text: torch.tensor([len(word) for word in text.split()]),
            model.backbone.language, model.sizes.text, model.config.rope_theta,
        )  # fmt: skip
        torch.manual_seed(1)
        return ActionExpertObjective(
            TracePolicy(replace(POLICY, **config)), slots,
            true_control_points(slots, TraceFit.for_model(model.config)),
            Instructions(encoder, slots.instruction), slots.validation(0.04),
            ActionExpertSettings(batch_size=4), forecasts,
        )  # fmt: skip

    return make


def assert_resumes(make, loop, folder):
    """Assert that three updates are the same with and without an interruption after the first."""
    loop = replace(loop, checkpoint_every=1)
    whole, broken, continued = make(), make(), make()
    start = {k: v.detach().clone() for k, v in whole.parameters.items()}
    first = train(whole, loop, Budget(steps=3), folder / "whole")
    with pytest.raises(Interrupted):
        train(broken, loop, Budget(steps=3), folder / "cut", None, interrupt_at_one)
    second = train(continued, loop, Budget(steps=3), folder / "cut")
    assert first.step == second.step == 3 and first.metrics == second.metrics
    assert any(not torch.equal(start[k], v) for k, v in whole.parameters.items())
    for name, value in whole.parameters.items():
        assert torch.equal(value, continued.parameters[name]), name
    assert all(np.isfinite(v) for v in first.metrics.values())


def test_world_model_training_resumes_exactly(world_objective, tmp_path):
    assert_resumes(world_objective, WORLD_MODEL_LOOP, tmp_path)


@pytest.mark.parametrize("traces", [True, False])
def test_action_expert_training_resumes_exactly(expert_objective, tmp_path, traces):
    assert_resumes(lambda: expert_objective(use_trace=traces), ACTION_EXPERT_LOOP, tmp_path)


def test_only_the_trace_expert_learns(world_objective):
    objective = world_objective()
    assert objective.parameters
    assert not any(name.startswith("backbone.") for name in objective.parameters)


def test_training_batches_show_a_few_real_points_with_their_own_features(
    world_objective, slots, cache
):
    objective = world_objective(depth_noise_m=0.0)
    rows = np.array([0, 5, 9])
    batch = objective.batch(rows, torch.Generator().manual_seed(0))
    assert batch.query.shape == (3, 4, 3) and bool(batch.point_valid.all())
    _, features = cache.batch(rows)
    for b, row in enumerate(rows):
        known = torch.from_numpy(slots.query[cache.slot[row]])
        for n in range(4):
            match = (known == batch.query[b, n]).all(dim=1).nonzero().ravel()
            assert len(match) == 1 and match < 6
            assert torch.equal(batch.features[b, n], features[b, match[0]])
            assert batch.cluster_ids[b, n] == slots.entity_ids[cache.slot[row]][match[0]]


def test_resting_points_count_rarely_and_moving_ones_always(world_objective):
    objective = world_objective(still_share=0.0)
    rows = np.array([0, 1, 2, 3, 4, 5])
    batch = objective.batch(rows, torch.Generator().manual_seed(0))
    moving = batch.cluster_ids == 1  # body 1 slides, body 0 stands still
    ended = ~batch.future_valid.any(dim=2)
    assert (batch.target_valid & moving).any()
    assert not (batch.target_valid & ~moving).any()
    assert (batch.target_valid | ended)[moving].all()


def test_held_out_batches_are_undisturbed_and_complete(world_objective, slots, cache):
    objective = world_objective()
    batch = objective.batch(np.array([2]), None)
    np.testing.assert_array_equal(batch.query[0].numpy(), slots.query[cache.slot[2]])
    assert int(batch.point_valid.sum()) == 6 and torch.equal(batch.target_valid, batch.point_valid)
    assert torch.all(batch.control_points[:, :, 0].abs() < 0.2)


def test_a_perfect_forecast_has_small_error(world_objective, monkeypatch):
    objective = world_objective()
    untrained = objective.evaluate()

    def perfect(prefix, features, query, *, point_valid, noise):
        class Sample:
            control_points = objective.batch(objective._held_rows, None).control_points[:, None]
            done_logits = torch.where(
                objective.batch(objective._held_rows, None).future_valid, 5.0, -5.0
            )[:, None]

        return Sample

    monkeypatch.setattr(objective.model, "sample", perfect)
    metrics = objective.evaluate()
    assert metrics["done_accuracy"] == 1
    assert metrics["ade_m"] < 0.1 * metrics["ade_still_m"]
    assert metrics["ade_m"] < untrained["ade_m"]


def test_evaluation_leaves_training_mode_and_randomness(world_objective, expert_objective):
    for objective, module in (
        (one := world_objective(), one.model), (two := expert_objective(), two.policy)
    ):  # fmt: skip
        torch.manual_seed(5)
        state = torch.get_rng_state()
        assert objective.evaluate() == objective.evaluate()
        assert torch.equal(torch.get_rng_state(), state) and module.training


@pytest.fixture
def forecasts(make_model, slots, cache):
    return forecast_slots(
        make_model(), cache, slots, ForecastSettings(num_samples=2, batch_size=5), "abc"
    )


def test_forecasts_start_at_their_query_points_and_survive_a_file(forecasts, slots, tmp_path):
    assert forecasts.control_m.shape == (12, 2, 8, 10, 3)
    index = forecasts.slot
    points = to_base(slots.query[index], slots.intrinsics[index], slots.T_base_camera[index])
    valid = slots.point_valid(index)
    for sample in range(2):  # up to the fit, as a straight line in the image is none in space
        offset = forecasts.control_m[:, sample] - points[:, :, None]
        distance = np.linalg.norm(offset, axis=-1)[valid]
        assert distance[:, 0].mean() < 0.01 < 0.1 * distance.max(axis=1).mean()
    assert np.abs(forecasts.control_m[:, 0] - forecasts.control_m[:, 1])[valid].max() > 1e-4
    forecasts.save(tmp_path / "f.npz")
    read = ForecastCache.load(tmp_path / "f.npz")
    np.testing.assert_array_equal(read.control_m, forecasts.control_m)
    assert read.source == "abc"
    with pytest.raises(DataError):
        ForecastCache.load(tmp_path / "absent.npz")


def test_one_sample_is_that_of_the_model_called_directly(forecasts, make_model, slots, cache):
    row = 3
    index = int(cache.slot[row])
    prefix, features = cache.batch(np.array([row]))
    with torch.no_grad():
        sample = make_model().sample(
            prefix, features, torch.from_numpy(slots.query[[index]]),
            point_valid=torch.from_numpy(slots.point_valid(np.array([index]))), num_samples=2,
            noise=seeded_noise([index], 2, 8, 10),
        )  # fmt: skip
    ended = (sample.done_logits[0] < 0).numpy()
    first = np.where(ended.any(-1), ended.argmax(-1), 32) / 32
    np.testing.assert_allclose(forecasts.valid_until[row], first, atol=1e-6)


def test_held_out_observations_show_forecasts_when_there_are_any(expert_objective, forecasts):
    plain, shown = expert_objective(), expert_objective(forecasts)
    index = forecasts.slot[:4]
    one, two = plain.observations(index, None), shown.observations(index, None)
    assert torch.equal(one.actions, two.actions) and torch.equal(one.z, two.z)
    assert not torch.equal(one.motion, two.motion)
    assert set(shown.losses(Randomness.from_seed(0))) == {"total"}


def test_the_ablation_sees_no_motion(expert_objective):
    batch = expert_objective(use_trace=False).observations(np.array([0, 1]), None)
    assert batch.motion is None and batch.motion_valid is None
