# SPDX-License-Identifier: Apache-2.0
"""Names on disk: how the modules of `WorldModel` are called in the released checkpoints."""

from __future__ import annotations

from torch import Tensor

from mu0_core.model.dinov2 import stored_name
from mu0_core.model.world_model import WorldModel

VLM = "model.vlm_with_expert.vlm."
_RENAMED = (
    ("backbone.depth_stem.", "model.vlm_with_expert._depth_patch_embedding."),
    ("backbone.connector.", VLM + "model.connector.modality_projection."),
    ("backbone.language.", VLM + "model.text_model."),
    ("backbone.lm_head.", VLM + "lm_head."),
    ("expert.time_embedder.", "model.trace_timestep_embedder."),
    ("expert.modulation.", "model.trace_adaln_modulation."),
    ("expert.", "model.vlm_with_expert.lm_expert."),
    ("suffix.time_embedding.", "model.trace_time_embedding."),
    ("suffix.segment_embedding.", "model.trace_seg_embedding."),
    ("suffix.uv_mlp.", "model.trace_uv_pos_mlp."),
    ("suffix.depth_mlp.", "model.trace_depth_pos_mlp."),
    ("suffix.in_history.", "model.trace_in_proj_history."),
    ("suffix.in_future.", "model.trace_in_proj_future."),
    ("suffix.fuse_in.", "model.trace_dino_fuse_in."),
    ("suffix.fuse_out.", "model.trace_dino_fuse_out."),
    ("out_future.", "model.trace_out_proj_future."),
    ("done.", "model.trace_done_proj_bsp."),
    ("action_time_mlp_in.", "model.action_time_mlp_in."),
    ("action_time_mlp_out.", "model.action_time_mlp_out."),
)

# Parts that the embedded profile takes from pretrained packages instead of its own checkpoint.
PRETRAINED_LANGUAGE = VLM + "model.text_model."
PRETRAINED_TOWER = VLM + "model.vision_model.tower."
CONNECTOR = VLM + "model.connector."


def stored_names(model: WorldModel) -> dict[str, str]:
    """Return {name in ``model.state_dict()``: name in a checkpoint} for every tensor."""
    vision = VLM + "model.vision_model."
    if model.config.uses_lora:
        vision += "base_model.model."
    rules = (("backbone.vision.", vision), *_RENAMED)
    return {name: _stored(name, rules) for name in model.state_dict(keep_vars=True)}


def stored_state_dict(model: WorldModel) -> dict[str, Tensor]:
    """Return the state dict of ``model`` under its checkpoint names."""
    state = model.state_dict()
    return {stored: state[name] for name, stored in stored_names(model).items()}


def _stored(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    if name.startswith("dino."):
        return stored_name("model." + name)
    for inner, outer in rules:
        if name.startswith(inner):
            return (
                stored_name(outer + name[len(inner) :])
                if ".tower." in name
                else outer + name[len(inner) :]
            )
    raise AssertionError(f"no checkpoint name for {name}")
