# SPDX-License-Identifier: Apache-2.0
"""A random model of a few thousand weights, to try a training out; it forecasts nothing."""

from __future__ import annotations

from mu0_core.model.backbone_config import BackboneConfig, TextConfig, VisionConfig
from mu0_core.model.config import WorldModelConfig

TINY_WORLD_MODEL = WorldModelConfig(
    vlm_model_name="tiny",
    num_vlm_layers=2,
    expert_width_multiplier=0.5,
    resize_imgs_with_padding=(32, 32),
    tokenizer_max_length=48,
    history_len=8,
    future_len=32,
    trace_group_horizon=8,
    use_depth=True,
    use_dino=True,
    dino_input_size=56,
    trace_done_head=True,
    num_steps=2,
    legacy_unused_tensors=False,
)
TINY_SIZES = BackboneConfig(
    TextConfig(48, 64, num_layers=2, num_heads=6, num_kv_heads=2, head_dim=8, vocab_size=257),
    VisionConfig(32, 48, num_layers=2, num_heads=4, image_size=24, patch_size=4),
    scale_factor=2,
    dino=VisionConfig(24, 96, num_layers=2, num_heads=2, image_size=56, patch_size=14),
)
