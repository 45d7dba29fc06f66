# SPDX-License-Identifier: Apache-2.0
"""Which parameters of a world model learn (μ0 paper): the expert, the adapters, the depth stem."""

from __future__ import annotations

from mu0_core.model.world_model import WorldModel


def set_trainable(model: WorldModel) -> list[str]:
    """Set ``requires_grad`` by the configuration's freezing rules; returns the trainable names.

    Always frozen: DINOv2, the connector, lm_head, the language model's final norm and the last
    backbone layers that the expert reads nothing behind. LoRA and the depth stem always learn.
    """
    config, count = model.config, len(model.backbone.language.layers)
    last = 2 if len(model.expert.layers) < count else 1
    frozen_layers = tuple(
        f"backbone.language.layers.{i}." for i in range(max(0, count - last), count)
    )
    trainable = []
    for name, parameter in model.named_parameters():
        learns = not name.startswith(("dino.", "backbone."))
        if ".lora_" in name or name.startswith("backbone.depth_stem."):
            learns = True
        elif name.startswith("backbone.vision."):
            learns = not (config.freeze_vision_encoder or config.train_expert_only)
        elif name.startswith("backbone.language."):
            learns = not (
                config.train_expert_only
                or name.startswith((*frozen_layers, "backbone.language.norm."))
            )
        parameter.requires_grad_(learns)
        if learns:
            trainable.append(name)
    return trainable
