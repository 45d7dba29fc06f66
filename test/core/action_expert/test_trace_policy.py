# SPDX-License-Identifier: Apache-2.0
"""Laws of the embedded action expert on a tiny random network."""

import pytest
import torch

from mu0_core.action_expert import motion_features as features
from mu0_core.action_expert.trace_policy import TracePolicy
from mu0_core.action_expert.trace_policy_config import TracePolicyConfig
from mu0_core.errors import ConfigError

CONFIG = TracePolicyConfig(
    backbone_width=32,
    num_control_points=4,
    width=16,
    num_layers=2,
    mlp_width=32,
    num_heads=2,
    num_kv_heads=1,
    head_dim=8,
    mixer_heads=4,
    chunk_size=5,
    execute_steps=3,
    num_steps=3,
)


@pytest.fixture
def policy():
    torch.manual_seed(0)
    model = TracePolicy(CONFIG).eval()
    for parameter in model.parameters():  # nothing may hide behind a zero initialisation
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def inputs(points=6, batch=2):
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    control = draw(batch, points, 4, 3) * 0.2
    motion = features.motion_features(control[:, :, 0], control, torch.ones(batch, points))
    valid = torch.ones(batch, points, dtype=torch.bool)
    state = features.state_features(draw(batch, 3) * 0.3, torch.full((batch,), 0.04), 0.08)
    state = torch.cat([state, features.carried_motion(control[:, :, 0], control, valid)], dim=-1)
    z = draw(batch, 7, 32)
    return z, torch.ones(batch, 7, dtype=torch.bool), state, motion, valid


def test_cached_prefix_equals_the_joint_pass(policy):
    z, z_valid, state, motion, motion_valid = inputs()
    cache, valid = policy.prefix(z, z_valid, state, motion, motion_valid)
    x = torch.randn(2, 5, 4)
    one = policy.velocity(cache, valid, x, torch.tensor([0.3, 0.3]))
    alone = [
        policy.velocity(
            [tuple(t[i : i + 1] for t in kv) for kv in cache],
            valid[i : i + 1],
            x[i : i + 1],
            torch.tensor([0.3]),
        )
        for i in range(2)
    ]
    torch.testing.assert_close(one, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_padded_points_change_nothing(policy):
    z, z_valid, state, motion, motion_valid = inputs()
    motion_valid[:, 4:] = False
    x, time = torch.randn(2, 5, 4), torch.tensor([0.5, 0.9])
    outputs = []
    for value in (0.0, 100.0):
        changed = motion.clone()
        changed[:, 4:] = value
        cache, valid = policy.prefix(z, z_valid, state, changed, motion_valid)
        outputs.append(policy.velocity(cache, valid, x, time))
    torch.testing.assert_close(*outputs, atol=0, rtol=0)


def test_traces_reach_the_actions(policy):
    z, z_valid, state, motion, motion_valid = inputs()
    noise = torch.randn(2, 5, 4)
    results = []
    for shift in (0.0, 0.5):
        cache, valid = policy.prefix(z, z_valid, state, motion + shift, motion_valid)
        results.append(policy.sample(cache, valid, noise))
    assert (results[0] - results[1]).abs().max() > 1e-3


def test_repeats_share_the_prefix_and_average(policy):
    z, z_valid, state, motion, motion_valid = inputs()
    cache, valid = policy.prefix(z, z_valid, state, motion, motion_valid)
    actions, noise = torch.randn(2, 5, 4), torch.randn(4, 5, 4)
    time = torch.tensor([0.2, 0.8, 0.4, 0.6])
    together = policy.loss(cache, valid, actions, noise, time, repeats=2)
    apart = [policy.loss(cache, valid, actions, noise[k::2], time[k::2]) for k in range(2)]
    torch.testing.assert_close(together, sum(apart) / 2, atol=1e-5, rtol=1e-5)


def test_configuration_is_checked(tmp_path):
    with pytest.raises(ConfigError, match="execute_steps 9"):
        TracePolicyConfig(execute_steps=9, chunk_size=5)
    path = tmp_path / "config.json"
    CONFIG.to_json(path)
    assert TracePolicyConfig.from_json(path) == CONFIG
    path.write_text(path.read_text().replace('"robot"', '"robott"'))
    with pytest.raises(ConfigError, match="robott"):
        TracePolicyConfig.from_json(path)
