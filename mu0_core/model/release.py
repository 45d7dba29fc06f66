# SPDX-License-Identifier: Apache-2.0
"""The released world model as constants: its configuration and the sizes of its parts.

Numbers are those of SmolVLM2-2.2B-Instruct (SigLIP-so400m/14 at 384, Llama 2048) and of
DINOv2-base. 1417 tensors with 2 587 257 390 elements result.
"""

from __future__ import annotations

from mu0_core.model.backbone_config import BackboneConfig, TextConfig, VisionConfig
from mu0_core.model.config import WorldModelConfig

RELEASE_CONFIG = WorldModelConfig(
    vlm_model_name="HuggingFaceTB/SmolVLM2-2.2B-Instruct",
    num_vlm_layers=20,
    num_expert_layers=20,
    expert_width_multiplier=0.5,
    history_len=8,
    future_len=32,
    trace_group_horizon=8,
    use_depth=True,
    depth_dropout_prob=0.7,
    use_dino=True,
    trace_done_head=True,
    rigidity_loss_weight=5.0,
    trace_history_full_mask_prob=0.5,
    trace_history_kp_dropout_prob=0.3,
    num_steps=4,
)

RELEASE_SIZES = BackboneConfig(
    text=TextConfig(
        hidden_size=2048,
        intermediate_size=8192,
        num_layers=24,
        num_heads=32,
        num_kv_heads=32,
        head_dim=64,
        vocab_size=49280,
        rms_norm_eps=1e-5,
    ),
    vision=VisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_layers=27,
        num_heads=16,
        image_size=384,
        patch_size=14,
    ),
    scale_factor=3,
    dino=VisionConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_layers=12,
        num_heads=12,
        image_size=518,
        patch_size=14,
    ),
)
