# SPDX-License-Identifier: Apache-2.0
"""Tiny random world models: one per profile, with every parameter away from its special start."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from mu0_core.model.backbone_config import BackboneConfig, TextConfig, VisionConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.world_model import WorldModel

TEXT = TextConfig(48, 64, num_layers=5, num_heads=6, num_kv_heads=2, head_dim=8, vocab_size=50)
DINO = VisionConfig(24, 96, num_layers=3, num_heads=2, image_size=56, patch_size=14)

RELEASE_LIKE = WorldModelConfig(
    num_vlm_layers=4,
    expert_width_multiplier=0.5,
    resize_imgs_with_padding=(32, 32),
    history_len=8,
    future_len=12,
    trace_group_horizon=4,
    trace_bspline_ctrl_per_token=5,
    use_depth=True,
    use_dino=True,
    dino_input_size=56,
    trace_done_head=True,
    num_steps=3,
    rigidity_loss_weight=5.0,
    delta_scale=(0.6, 0.7, 0.2),
)
RELEASE_LIKE_SIZES = BackboneConfig(
    TEXT,
    VisionConfig(32, 48, num_layers=2, num_heads=4, image_size=24, patch_size=4),
    scale_factor=2,
    dino=DINO,
)
EMBEDDED_LIKE = WorldModelConfig(
    num_vlm_layers=4,
    num_expert_layers=4,
    expert_width_multiplier=0.5,
    resize_imgs_with_padding=(56, 56),
    history_len=8,
    future_len=12,
    trace_group_horizon=8,
    use_dino=True,
    trace_done_head=True,
    num_steps=3,
    vision_tower="dinov2",
    vision_feature_layers=(1, 3),
    share_vision_features=True,
    dino_padding="border",
    scale_embeddings=False,
    rope_theta=1e5,
    prefix_attention="causal",
    image_position="sincos2d",
    image_position_scale=0.1,
    query_depth=True,
    depth_log_min=-1.4,
    depth_log_max=0.8,
    trace_knots="uniform",
    legacy_unused_tensors=False,
)
EMBEDDED_LIKE_SIZES = BackboneConfig(TEXT, DINO, scale_factor=2)
PROFILES = {
    "release": (RELEASE_LIKE, RELEASE_LIKE_SIZES),
    "release-half-expert": (replace(RELEASE_LIKE, num_expert_layers=2), RELEASE_LIKE_SIZES),
    "embedded": (EMBEDDED_LIKE, EMBEDDED_LIKE_SIZES),
}


@dataclass(frozen=True)
class Scene:
    """Random inputs: two observations, five points, the last of observation 0 is padding."""

    images: torch.Tensor
    depth: torch.Tensor
    tokens: torch.Tensor
    mask: torch.Tensor
    query: torch.Tensor
    point_valid: torch.Tensor
    history: torch.Tensor
    noise: torch.Tensor


def build(profile: str) -> WorldModel:
    """Return the seeded model of a profile in evaluation mode."""
    torch.manual_seed(0)
    model = WorldModel(*PROFILES[profile]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.08 * torch.randn_like(parameter))
    return model


@pytest.fixture(params=sorted(PROFILES))
def model(request) -> WorldModel:
    return build(request.param)


@pytest.fixture
def release_like() -> WorldModel:
    return build("release")


@pytest.fixture
def embedded_like() -> WorldModel:
    return build("embedded")


@pytest.fixture
def scene() -> Scene:
    g = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(shape, generator=g)

    side = 56
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[0, 4:] = False
    valid = torch.ones(2, 5, dtype=torch.bool)
    valid[0, -1] = False
    query = torch.rand(2, 5, 3, generator=g) * 1.8 - 0.9
    query[..., 2] = query[..., 2].abs() + 0.3
    return Scene(
        torch.rand(2, 3, side, side, generator=g),
        torch.rand(2, 3, side, side, generator=g),
        torch.randint(0, 50, (2, 6), generator=g),
        mask,
        query,
        valid,
        0.1 * normal(2, 5, 8, 3),
        normal(2, 5, 10, 3),
    )
