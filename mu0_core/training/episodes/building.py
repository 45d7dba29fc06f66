# SPDX-License-Identifier: Apache-2.0
"""From a blueprint to a model with weights, of which a part learns; and back to stored tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from mu0_core.errors import ConfigError
from mu0_core.inference.registry import ASSETS
from mu0_core.inference.runtime import DEFAULT_WORLD_MODEL, embedded_parts
from mu0_core.model.build import build_world_model
from mu0_core.model.checkpoint import WEIGHTS, load_exact
from mu0_core.model.freeze import set_trainable
from mu0_core.model.layout import PRETRAINED_LANGUAGE, PRETRAINED_TOWER, stored_names
from mu0_core.model.loading import load_world_model
from mu0_core.model.lora import adapt, merged
from mu0_core.model.pretrained import huggingface_tensors
from mu0_core.model.tensor_file import TensorFile
from mu0_core.model.world_model import WorldModel
from mu0_core.training.episodes.architecture import TINY, Blueprint
from mu0_core.training.episodes.settings import FineTuneSettings, ModelSettings

_ADAPTED = "expert.layers"


@dataclass(frozen=True)
class BuiltModel:
    """A model whose trainable parameters are marked.

    Attributes:
        model: with adapters, when there are any.
        stored: parameter name without adapters -> name in a checkpoint.
        frozen_prefixes: stored names that a checkpoint leaves out.
        adapted: names of the adapted layers; lora_scale: of their change.
    """

    model: WorldModel
    stored: Mapping[str, str]
    frozen_prefixes: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    lora_scale: float = 1.0

    def checkpoint_tensors(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a checkpoint holds of a state dict of ``model``, adapters merged."""
        plain = merged(state, self.adapted, self.lora_scale)
        named = {stored: plain[name] for name, stored in self.stored.items()}
        return {
            k: v for k, v in named.items() if not k.startswith(self.frozen_prefixes or ("\0",))
        }


def build(
    blueprint: Blueprint,
    delta_scale: tuple[float, float, float],
    model: ModelSettings,
    fine_tune: FineTuneSettings,
    *,
    history: bool,
    depth: bool,
    seed: int,
) -> BuiltModel:
    """Build the model, fill it, and mark what learns.

    Args:
        blueprint: what to build.
        delta_scale: of the normaliser.
        model: where pretrained parts come from.
        fine_tune: adapters.
        history: whether the past of the points is shown; depth: whether depth images are.
        seed: of everything that starts at random.

    Raises:
        ConfigError: a new model has no source for its frozen parts.
        ModelError, MissingWeightsError: weights are missing or do not fit.
    """
    config = replace(blueprint.config, delta_scale=delta_scale)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if blueprint.start is not None:
            external = embedded_parts(config)[0] if blueprint.embedded else None
            net = load_world_model(blueprint.start, config=config, external=external)
        else:
            net = build_world_model(config, blueprint.sizes)
            _fill_frozen(net, blueprint, model)
        names = stored_names(net)
        set_trainable(net)
        freeze_unused(net, history=history, depth=depth)
        adapted: tuple[str, ...] = ()
        alpha = fine_tune.lora_alpha or 2.0 * fine_tune.lora_rank
        if fine_tune.lora_rank:
            net.requires_grad_(False)
            layers = adapt(net.expert.layers, fine_tune.lora_rank, alpha)
            adapted = tuple(f"{_ADAPTED}.{name}" for name in layers)
    prefixes = (PRETRAINED_TOWER, PRETRAINED_LANGUAGE) if blueprint.embedded else ()
    scale = alpha / fine_tune.lora_rank if fine_tune.lora_rank else 1.0
    return BuiltModel(net, names, prefixes, adapted, scale)


def freeze_unused(model: WorldModel, *, history: bool, depth: bool) -> None:
    """Freeze what takes no part in the loss: processes wait for gradients of all that learns."""
    unused: list[nn.Module | None] = [model.action_time_mlp_in, model.action_time_mlp_out]
    if not history:
        unused.append(model.suffix.in_history)
    if not depth:
        unused.append(model.backbone.depth_stem)
        adapters = [m for n, m in model.backbone.vision.named_modules() if ".lora_" in n]
        unused += adapters
    for module in unused:
        if module is not None:
            module.requires_grad_(False)


def _fill_frozen(net: WorldModel, blueprint: Blueprint, settings: ModelSettings) -> None:
    """Fill backbone and point features of a new model; what learns keeps its random start."""
    if blueprint.config.vlm_model_name == TINY:
        return
    names = {
        name: stored
        for name, stored in stored_names(net).items()
        if name.startswith(("backbone.", "dino."))
        and ".lora_" not in name
        and not name.startswith("backbone.depth_stem.")
    }
    wanted = set(names.values())
    sources = {label: _only(tensors, wanted) for label, tensors in _sources(blueprint, settings)}
    load_exact(net, names, sources)
    if net.backbone.depth_stem is not None:  # starts as a copy of the stem of RGB
        stem = net.backbone.vision.embeddings.patch_embedding
        net.backbone.depth_stem.load_state_dict(stem.state_dict())


def _sources(blueprint: Blueprint, settings: ModelSettings):
    """Yield label and tensors of what the frozen parts are filled from."""
    config = blueprint.config
    if blueprint.embedded:
        yield "pretrained parts", embedded_parts(config)[0]
        folder = blueprint.architecture or ASSETS / "models" / DEFAULT_WORLD_MODEL
        yield str(folder), TensorFile(folder / WEIGHTS)  # its connector
    elif settings.backbone is not None:
        if config.use_dino and not config.share_vision_features and not settings.point_features:
            raise ConfigError("model.backbone without model.point_features (DINOv2 weights)")
        dino = None if settings.point_features is None else Path(settings.point_features)
        yield settings.backbone, huggingface_tensors(config, Path(settings.backbone), dino)
    elif blueprint.architecture is not None and (blueprint.architecture / WEIGHTS).is_file():
        yield str(blueprint.architecture), TensorFile(blueprint.architecture / WEIGHTS)
    else:
        raise ConfigError(
            f"{blueprint.architecture} has no {WEIGHTS}, and model.backbone names none: the "
            "frozen backbone of a new model would be random"
        )


def _only(tensors: Mapping[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    return {name: tensors[name] for name in tensors if name in names}
