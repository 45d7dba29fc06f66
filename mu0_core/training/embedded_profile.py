# SPDX-License-Identifier: Apache-2.0
"""The embedded profile: a world model and an action expert small enough to train on a laptop CPU.

DINOv2-S/14 derived patches and the first layers of SmolLM2-135M, both frozen, carry half-width
experts. Sizes and settings of the shipped models are here and nowhere else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from mu0_core.action_expert.trace_policy_config import TracePolicyConfig
from mu0_core.inference.language import InstructionTokenizer
from mu0_core.inference.runtime import embedded_parts
from mu0_core.model.backbone_config import BackboneConfig, TextConfig, VisionConfig
from mu0_core.model.checkpoint import load_exact
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.layout import PRETRAINED_LANGUAGE, PRETRAINED_TOWER, stored_names
from mu0_core.model.world_model import WorldModel
from mu0_core.simulation.expert import CONTROL_PERIOD_S, ROUND_STEPS
from mu0_core.weights import smollm2
from mu0_core.weights.cache import converted_model

EMBEDDED_WORLD_MODEL = WorldModelConfig(
    vlm_model_name="embedded",
    num_vlm_layers=6,
    num_expert_layers=6,
    expert_width_multiplier=0.5,
    resize_imgs_with_padding=(224, 224),
    tokenizer_max_length=24,
    history_len=8,
    trace_group_horizon=8,
    use_dino=True,
    trace_done_head=True,
    num_steps=4,
    rigidity_loss_weight=5.0,
    vision_tower="dinov2",
    vision_feature_layers=(2, 6),
    share_vision_features=True,
    dino_padding="border",
    scale_embeddings=False,
    rope_theta=100_000.0,
    prefix_attention="causal",
    image_position="sincos2d",
    image_position_scale=0.08,
    query_depth=True,
    depth_log_min=-0.7,
    depth_log_max=0.7,
    trace_knots="bezier",
    legacy_unused_tensors=False,
)
EMBEDDED_SIZES = BackboneConfig(
    text=TextConfig(
        hidden_size=576,
        intermediate_size=1536,
        num_layers=30,
        num_heads=9,
        num_kv_heads=3,
        head_dim=64,
        vocab_size=49_152,
    ),
    vision=VisionConfig(
        hidden_size=384,
        intermediate_size=1536,
        num_layers=12,
        num_heads=6,
        image_size=518,
        patch_size=14,
    ),
    scale_factor=2,
)
EMBEDDED_POLICY = TracePolicyConfig(
    width=128,
    num_layers=4,
    mlp_width=384,
    num_heads=4,
    num_kv_heads=2,
    head_dim=32,
    chunk_size=ROUND_STEPS,
    execute_steps=ROUND_STEPS,
    noise_scale=0.2,  # with 1, half of the tip error is the noise
    step_period_s=CONTROL_PERIOD_S,
)


def build_embedded(delta_scale: tuple[float, float, float] | None = None) -> WorldModel:
    """Return a world model with the pretrained backbone and a randomly initialised expert.

    Draw from a seeded global torch generator to get the same expert again.
    """
    config = replace(EMBEDDED_WORLD_MODEL, delta_scale=delta_scale)
    model = WorldModel(config, EMBEDDED_SIZES)
    fill_pretrained(model, embedded_parts(config)[0])
    return model.eval()


def fill_pretrained(model: WorldModel, parts: dict[str, Tensor]) -> None:
    """Fill the frozen tower and language model strictly; leave connector and expert alone.

    Raises:
        ModelIntegrityError: a tensor is missing, superfluous or misshapen.
    """
    names = stored_names(model)
    stored = {
        s: name
        for name, s in names.items()
        if s.startswith((PRETRAINED_TOWER, PRETRAINED_LANGUAGE))
    }
    load_exact(model, {name: s for s, name in stored.items()}, {"pretrained parts": parts})


def embedded_tokenizer(config: WorldModelConfig = EMBEDDED_WORLD_MODEL) -> InstructionTokenizer:
    """Return the backbone's tokenizer."""
    return InstructionTokenizer(language_folder(), config.tokenizer_max_length)


def language_folder() -> Path:
    """Return the folder of the converted language model."""
    return converted_model(smollm2.NAME)
