# SPDX-License-Identifier: Apache-2.0
"""The released policy on a tiny random world model: inputs that matter, noise that is fixed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mu0_core.action_expert.adarms_transformer import TransformerConfig
from mu0_core.action_expert.policy import ReleasePolicy, query_grid
from mu0_core.action_expert.policy_config import PolicyConfig, gemma_sizes
from mu0_core.errors import ConfigError, ShapeError
from mu0_core.model.backbone_config import BackboneConfig, TextConfig, VisionConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.world_model import WorldModel

CONFIG = PolicyConfig(
    action_dim=4,
    chunk_size=3,
    state_dim=5,
    gripper_spatial_pool_size=2,
    grid_size=4,
    mixer_heads=4,
    num_inference_steps=3,
    max_action_dim=6,
)
HEAD = TransformerConfig(
    width=24, num_layers=2, mlp_width=48, num_heads=4, num_kv_heads=1, head_dim=8
)


@pytest.fixture(scope="module")
def world_model() -> WorldModel:
    torch.manual_seed(0)
    config = WorldModelConfig(
        num_vlm_layers=2,
        expert_width_multiplier=0.5,
        resize_imgs_with_padding=(32, 32),
        history_len=8,
        trace_group_horizon=8,
        use_dino=True,
        dino_input_size=56,
    )
    sizes = BackboneConfig(
        TextConfig(32, 48, 2, 4, 2, 8, 50),
        VisionConfig(32, 48, 1, 4, 16, 4),
        scale_factor=2,
        dino=VisionConfig(16, 64, 1, 2, 56, 14),
    )
    model = WorldModel(config, sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def act(world_model, **changes):
    """Return the actions of a seeded policy for (changed) seeded inputs."""
    torch.manual_seed(1)
    use_trace = changes.pop("use_trace", True)
    policy = ReleasePolicy.for_world_model(
        replace(CONFIG, use_trace=use_trace), HEAD, world_model
    ).eval()
    inputs = {
        "images": torch.rand(2, 3, 32, 32),
        "wrist_images": torch.rand(2, 3, 40, 40),
        "language_tokens": torch.randint(0, 50, (2, 6)),
        "language_mask": torch.arange(6).expand(2, -1) < 4,
        "trace_noise": torch.randn(2, 16, 10, 3),
        "state": torch.randn(2, 5),
        "noise": torch.randn(2, 3, 4),
    }
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    inputs |= changes
    state, noise = inputs.pop("state"), inputs.pop("noise")
    return policy.act(policy.observe(world_model, **inputs), state, noise)


def test_fixed_noise_gives_the_same_actions_and_every_input_matters(world_model):
    base = act(world_model)
    assert base.shape == (2, 3, 4)
    assert torch.equal(base, act(world_model))
    for name, value in {
        "images": torch.zeros(2, 3, 32, 32),
        "wrist_images": torch.zeros(2, 3, 40, 40),
        "language_tokens": torch.zeros(2, 6, dtype=torch.long),
        "state": torch.zeros(2, 5),
        "noise": torch.zeros(2, 3, 4),
        "trace_noise": torch.zeros(2, 16, 10, 3),
    }.items():
        assert (act(world_model, **{name: value}) - base).abs().max() > 1e-6, name


def test_without_traces_the_trace_noise_is_irrelevant(world_model):
    base = act(world_model, use_trace=False)
    other = act(world_model, use_trace=False, trace_noise=torch.zeros(2, 16, 10, 3))
    assert torch.equal(base, other)


def test_the_grid_covers_the_image_row_by_row():
    grid = query_grid(4)[0]
    assert grid.shape == (16, 3) and (grid[:, 2] == 0).all()
    assert grid[0, :2].tolist() == [-1, -1] and grid[3, :2].tolist() == [1, -1]
    assert grid[4, 0] == -1 and grid[-1, :2].tolist() == [1, 1]


def test_noise_for_another_grid_is_refused(world_model):
    with pytest.raises(ShapeError, match="trace_noise"):
        act(world_model, trace_noise=torch.zeros(2, 9, 10, 3))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("grid_size", 5),
        ("action_dim", 40),
        ("trace_executed_steps", 5),
        ("mask_all_history", False),
        ("surprise", 1),
    ],
)
def test_bad_configurations_are_named(field, value):
    with pytest.raises(ConfigError, match=field):
        PolicyConfig.from_dict({field: value})


def test_other_kinds_of_stack_are_refused():
    sizes = {
        "width": 8,
        "depth": 1,
        "mlp_dim": 8,
        "num_heads": 2,
        "num_kv_heads": 1,
        "head_dim": 4,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e4,
    }
    assert gemma_sizes(sizes).num_layers == 1
    with pytest.raises(ConfigError, match="hidden_activation"):
        gemma_sizes({**sizes, "hidden_activation": "relu"})
    with pytest.raises(ConfigError, match="depth"):
        gemma_sizes({k: v for k, v in sizes.items() if k != "depth"})
