# SPDX-License-Identifier: Apache-2.0
"""The release configuration has exactly the tensors of the released checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from mu0_core.action_expert.adarms_transformer import TransformerConfig
from mu0_core.action_expert.policy import ReleasePolicy
from mu0_core.action_expert.policy_config import PolicyConfig
from mu0_core.model.freeze import set_trainable
from mu0_core.model.layout import stored_state_dict
from mu0_core.model.release import RELEASE_CONFIG, RELEASE_SIZES
from mu0_core.model.world_model import WorldModel

FIXTURES = Path(__file__).parent / "fixtures"


def test_release_world_model_layout():
    shapes = json.loads((FIXTURES / "release_world_model_shapes.json").read_text())
    with torch.device("meta"):
        model = WorldModel(RELEASE_CONFIG, RELEASE_SIZES)
    state = stored_state_dict(model)
    assert all(tensor.is_meta for tensor in state.values())
    assert {name: list(tensor.shape) for name, tensor in state.items()} == shapes
    assert len(state) == 1417
    assert sum(tensor.numel() for tensor in state.values()) == 2_587_257_390


def test_release_trainable_share():
    """μ0 paper: about 522 M of 2.59 B parameters learn."""
    with torch.device("meta"):
        model = WorldModel(RELEASE_CONFIG, RELEASE_SIZES)
    set_trainable(model)
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert round(learning / 1e5) == 5223


def test_release_policy_layout():
    shapes = json.loads((FIXTURES / "release_policy_shapes.json").read_text())
    with torch.device("meta"):
        policy = ReleasePolicy(
            PolicyConfig(),
            TransformerConfig(),
            RELEASE_SIZES.text.hidden_size,
            motion_width=1024,
            wrist_width=RELEASE_SIZES.dino.hidden_size,
        )
    state = policy.state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == shapes
    assert len(state) == 236
