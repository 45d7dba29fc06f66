# SPDX-License-Identifier: Apache-2.0
"""Which model is trained: its configuration, sizes and tokenizer. `building` makes it.

A checkpoint that is learned on from must have been made for the same horizon, splines, scales,
prompt and history as the settings name; each difference is an error with both values, which the
user may accept where the tensors allow it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType

from mu0_core.errors import ConfigError
from mu0_core.inference.runtime import EMBEDDED
from mu0_core.model.backbone_config import BackboneConfig
from mu0_core.model.config import WorldModelConfig, read_json
from mu0_core.model.loading import CONFIG, read_sizes
from mu0_core.training.episodes.methods import with_method
from mu0_core.training.episodes.prompts import (
    Prompts,
    Tokenizer,
    byte_tokenizer,
    folder_tokenizer,
)
from mu0_core.training.episodes.settings import KNOTS, EpisodeTraining, ModelSettings
from mu0_core.training.episodes.tiny_profile import TINY_SIZES, TINY_WORLD_MODEL

META = "meta.json"
TINY = "tiny"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
_TRAINING_ONLY = {
    "done_loss_weight", "rigidity_loss_weight", "depth_dropout_prob", "depth_lora_dropout",
    "trace_history_full_mask_prob", "trace_history_kp_dropout_prob", "done_bias_init",
    "done_threshold", "num_steps", "delta_scale", "freeze_vision_encoder", "train_expert_only",
}  # fmt: skip
ACCEPTABLE = (
    "tokenizer_max_length", "trace_knots", "depth_log_min", "depth_log_max", "dino_padding",
    "vision_position_dtype", "delta_scale", "target", "prompt",
)  # fmt: skip


@dataclass(frozen=True)
class Blueprint:
    """A model to be built.

    Attributes:
        config: without scales, which come from the normaliser.
        sizes: of the backbone.
        prompts: makes its tokens.
        start: checkpoint whose weights are learned on from, or None.
        architecture: folder that the frozen parts of a new model come from, or None.
    """

    config: WorldModelConfig
    sizes: BackboneConfig
    prompts: Prompts
    start: Path | None
    architecture: Path | None

    @property
    def embedded(self) -> bool:
        """Whether frozen parts lie in the installed weight packages and not in checkpoints."""
        return self.config.vlm_model_name == EMBEDDED


def embedded_profile() -> ModuleType:
    """Return the module of the embedded profile, which needs the simulator's packages.

    Raises:
        ConfigError: they are not installed.
    """
    try:
        from mu0_core.training import embedded_profile
    except ImportError as error:
        raise ConfigError(
            f"the embedded profile needs the simulator: pip install 'mu0-ros[sim]' ({error})"
        ) from error
    return embedded_profile


def draw_up(settings: EpisodeTraining) -> Blueprint:
    """Return the model that the settings ask for.

    Raises:
        ConfigError: a folder is no architecture, the settings do not fit together, or they differ
            from the checkpoint that is learned on from.
        MissingWeightsError: the embedded backbone is not installed.
    """
    start = None if settings.fine_tune.start is None else Path(settings.fine_tune.start)
    named = settings.model.architecture
    folder = None if named in (None, EMBEDDED, TINY) else Path(named)
    if start is not None and named is None:
        config, sizes = _of_folder(start)
    elif named == TINY:
        config, sizes = TINY_WORLD_MODEL, TINY_SIZES
    elif folder is not None:
        config, sizes = _of_folder(folder)
    else:
        profile = embedded_profile()
        config, sizes = profile.EMBEDDED_WORLD_MODEL, profile.EMBEDDED_SIZES
    config = _with_losses(_overridden(config, settings.model), settings)
    if settings.model.method != "mu0":
        config = with_method(config, settings.model.method)
    if config.depth_lora_dropout:
        raise ConfigError(
            f"depth_lora_dropout {config.depth_lora_dropout}: only 0 (released) can be trained, "
            "its draws would depend on the number of processes"
        )
    if settings.data.depth and not config.use_depth:
        raise ConfigError("data.depth is true, but the model reads no depth images (use_depth)")
    places = [p for p in (folder, start) if p is not None]
    tokenizer = backbone_tokenizer(config, settings.model.tokenizer, places)
    prompts = Prompts(tokenizer, config.tokenizer_max_length)
    if start is not None:
        check_drift(start, config, sizes, settings, prompts)
    return Blueprint(replace(config, delta_scale=None), sizes, prompts, start, folder)


def check_drift(
    start: Path,
    config: WorldModelConfig,
    sizes: BackboneConfig,
    settings: EpisodeTraining,
    prompts: Prompts,
) -> None:
    """Compare what is wanted with the checkpoint in ``start``.

    Raises:
        ConfigError: something differs that was not accepted, or cannot be.
    """
    accepted = set(settings.fine_tune.accept)
    if unknown := accepted - set(ACCEPTABLE):
        raise ConfigError(
            f"accept: {sorted(unknown)} unknown; allowed are {', '.join(ACCEPTABLE)}"
        )
    old, old_sizes = _of_folder(start)
    meta = read_json(start / META) if (start / META).is_file() else {}
    pairs = {
        f.name: (getattr(config, f.name), getattr(old, f.name))
        for f in fields(config)
        if f.name not in _TRAINING_ONLY
    }
    pairs["backbone"] = (sizes, old_sizes)
    pairs["target"] = (settings.data.target, meta.get("target", settings.data.target))
    probe = prompts.probe()
    pairs["prompt"] = (probe, meta.get("prompt_probe", probe))
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    for name, (wanted, there) in changed.items():
        if name in accepted:
            continue
        advice = (
            f"--accept {name} if that is meant" if name in ACCEPTABLE
            else "its weights do not fit, so it cannot be accepted"
        )  # fmt: skip
        raise ConfigError(f"{name}: wanted {wanted!r}, checkpoint {start} has {there!r}; {advice}")


def _of_folder(folder: Path) -> tuple[WorldModelConfig, BackboneConfig]:
    if not (folder / CONFIG).is_file():
        raise ConfigError(
            f"{folder} holds no {CONFIG}: expected {EMBEDDED!r}, {TINY!r} or a folder with one"
        )
    return WorldModelConfig.from_json(folder / CONFIG), read_sizes(folder)


def _overridden(config: WorldModelConfig, model: ModelSettings) -> WorldModelConfig:
    """Return the architecture with the values that the settings name."""
    changes: dict[str, object] = {
        "future_len": model.future_len,
        "tokenizer_max_length": model.max_tokens,
        "query_depth": model.query_depth,
        "trace_knots": None if model.knots is None else KNOTS[model.knots],
        "trace_output": model.output,
    }
    if model.point_map is False:
        changes |= {"use_dino": False, "share_vision_features": False}
    if model.history_len is not None:
        changes["history_len"] = model.history_len
        if config.trace_group_horizon == config.history_len:  # one token holds all of it
            changes["trace_group_horizon"] = model.history_len
    if model.control_points is not None:
        changes["trace_bspline_n_ctrl"] = model.control_points
        if config.trace_bspline_ctrl_per_token == config.trace_bspline_n_ctrl:
            changes["trace_bspline_ctrl_per_token"] = model.control_points
    if model.depth_log_range is not None:
        changes["depth_log_min"], changes["depth_log_max"] = model.depth_log_range
    return replace(config, **{k: v for k, v in changes.items() if v is not None})


def _with_losses(config: WorldModelConfig, settings: EpisodeTraining) -> WorldModelConfig:
    losses = settings.losses
    return replace(
        config,
        done_loss_weight=losses.done_weight,
        rigidity_loss_weight=losses.rigidity_weight,
        depth_dropout_prob=losses.depth_dropout,
        trace_history_full_mask_prob=losses.history_dropout,
        trace_history_kp_dropout_prob=losses.history_point_dropout,
    )


def backbone_tokenizer(
    config: WorldModelConfig, named: str | None, places: list[Path]
) -> Tokenizer:
    """Return the tokenizer of a model's backbone.

    Args:
        config: of the model.
        named: folder of the tokenizer, or None = found.
        places: folders where it may lie.

    Raises:
        ConfigError: it lies nowhere.
    """
    if named is not None:
        return folder_tokenizer(Path(named))
    if config.vlm_model_name == TINY:
        return byte_tokenizer
    if config.vlm_model_name == EMBEDDED:
        return folder_tokenizer(embedded_profile().language_folder())
    for folder in places:
        if any((folder / name).is_file() for name in _TOKENIZER_FILES):
            return folder_tokenizer(folder)
    raise ConfigError(
        f"no tokenizer for the backbone {config.vlm_model_name!r}: set model.tokenizer to a "
        f"folder with {' or '.join(_TOKENIZER_FILES)}"
    )
