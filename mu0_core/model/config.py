# SPDX-License-Identifier: Apache-2.0
"""The architecture of a world model: the released ``config.json`` fields plus our extensions.

Field names and defaults of the first block are those of the released checkpoints (μ0 paper), so
a released file builds the released model. The second block extends it; its defaults change
nothing. Sizes of the backbone itself are in `backbone_config`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mu0_core.errors import ConfigError
from mu0_core.spline.curve import check_curve

_LOG = logging.getLogger(__name__)

TRACE_HEADS = ("flow", "regression", "grid", "tokens")
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")

# Written by the released trainer; they describe other models, the optimizer or the data loader,
# or repeat the only behaviour there is.
# fmt: off
_LEGACY_FIELDS = frozenset({
    "type", "trace_mode", "input_features", "output_features", "device", "dtype", "use_amp",
    "use_cache", "pad_language_to", "trace_attention_mode", "trace_use_adaln",
    "causal_attention", "vlm_lr_multiplier", "n_obs_steps", "chunk_size", "n_action_steps",
    "max_state_dim", "max_action_dim", "normalization_mapping", "rtc_config",
    "adapt_to_pi_aloha", "use_delta_joint_actions_aloha", "load_vlm_weights", "trace_dim",
    "n_min", "n_max", "dino_model_name", "trace_target_kind", "push_to_hub", "repo_id",
    "private", "tags", "license", "use_peft", "pretrained_path",
})
# fmt: on
_LEGACY_PREFIXES = ("optimizer_", "scheduler_", "compile_")


@dataclass(frozen=True)
class WorldModelConfig:
    """Everything but the backbone sizes that decides shapes and behaviour of a `WorldModel`.

    Raises:
        ConfigError: a value breaks a constraint; the message names the field.
    """

    # --- fields of the released config.json ---
    vlm_model_name: str = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"
    num_vlm_layers: int = 16
    num_expert_layers: int = -1
    expert_width_multiplier: float = 0.75
    attention_mode: str = "cross_attn"
    self_attn_every_n_layers: int = 2
    freeze_vision_encoder: bool = True
    train_expert_only: bool = True
    resize_imgs_with_padding: tuple[int, int] = (512, 512)
    tokenizer_max_length: int = 48
    add_image_special_tokens: bool = False
    prefix_length: int = -1
    empty_cameras: int = 0
    history_len: int = 16
    future_len: int = 32
    trace_group_horizon: int = 1
    trace_bspline_n_ctrl: int = 10
    trace_bspline_ctrl_per_token: int = 10
    trace_uv_num_freqs: int = 8
    trace_adaln_freq_embed_size: int = 256
    min_period: float = 4e-3
    max_period: float = 4.0
    use_depth: bool = False
    depth_lora_rank: int = 8
    depth_lora_alpha: float = 16
    depth_lora_dropout: float = 0.0
    depth_lora_targets: tuple[str, ...] = LORA_TARGETS
    depth_clone_stem: bool = True
    depth_dropout_prob: float = 0.0
    use_dino: bool = False
    dino_input_size: int = 518
    dino_num_prefix_tokens: int = 1
    trace_done_head: bool = False
    done_loss_weight: float = 0.5
    done_bias_init: float = 3.0
    done_threshold: float = 0.5
    rigidity_loss_weight: float = 0.0
    trace_history_full_mask_prob: float = 0.0
    trace_history_kp_dropout_prob: float = 0.0
    num_steps: int = 10
    delta_scale: tuple[float, float, float] | None = None
    # --- extensions; the defaults are the released behaviour ---
    vision_tower: str = "siglip"  # or "dinov2"
    vision_feature_layers: tuple[int, ...] = ()  # hidden states of a DINOv2 tower, e.g. (2, 8)
    vision_position_dtype: str = "bfloat16"  # rounding of SigLIP position ids; or "float32"
    share_vision_features: bool = False  # point features from the vision tower's own patch map
    dino_padding: str = "zeros"  # outside the image; or "border"
    scale_embeddings: bool = True  # multiply prefix embeddings by sqrt(width)
    rope_theta: float = 10_000.0
    prefix_attention: str = "bidirectional"  # or "causal"
    image_position: str = "none"  # or "sincos2d": fixed table added to image tokens
    image_position_scale: float = 1.0
    query_depth: bool = False  # embed the query's depth beside its pixel
    depth_log_min: float | None = None  # ln metres
    depth_log_max: float | None = None
    trace_knots: str = "bezier"  # or another kind of `mu0_core.spline.curve`
    trace_head: str = "flow"  # or a model to compare with, see `mu0_core.model.heads`
    trace_output: str = "velocity"  # of the expert; or "curve": the flow's end, without noise
    trace_grid: int = 20  # cells along each side of the picture; "grid" only
    trace_bins: int = 256  # values of a coordinate; "tokens" only
    legacy_unused_tensors: bool = True  # lm_head and action_time_mlp, stored but never read

    def __post_init__(self) -> None:
        for name in ("resize_imgs_with_padding", "depth_lora_targets", "vision_feature_layers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.delta_scale is not None:
            object.__setattr__(self, "delta_scale", tuple(float(x) for x in self.delta_scale))
        _check(self)

    @property
    def image_size(self) -> int:
        """Side in pixels of the square image fed to the vision tower."""
        return self.resize_imgs_with_padding[0]

    @property
    def num_history_tokens(self) -> int:
        """Suffix tokens per keypoint that carry history."""
        return self.history_len // self.trace_group_horizon

    @property
    def num_future_tokens(self) -> int:
        """Suffix tokens per keypoint that carry control points."""
        return self.trace_bspline_n_ctrl // self.trace_bspline_ctrl_per_token

    @property
    def uses_lora(self) -> bool:
        """Whether the vision tower carries low-rank adapters for depth images."""
        return self.use_depth and self.depth_lora_rank > 0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WorldModelConfig:
        """Build from decoded JSON; known legacy fields are dropped, unknown ones logged.

        Raises:
            ConfigError: a value is out of range or of the wrong kind.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(
            k
            for k in values
            if k not in names | _LEGACY_FIELDS and not k.startswith(_LEGACY_PREFIXES)
        )
        if unknown:
            _LOG.warning("world model config: unknown fields ignored: %s", ", ".join(unknown))
        try:
            return cls(**{k: v for k, v in values.items() if k in names})
        except TypeError as error:
            raise ConfigError(f"world model config: {error}") from error

    @classmethod
    def from_json(cls, path: Path | str) -> WorldModelConfig:
        """Read a ``config.json``; raises `ConfigError` when it is missing or malformed."""
        return cls.from_dict(read_json(path))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; `from_dict` reads them back."""
        return dataclasses.asdict(self)


def read_json(path: Path | str) -> dict[str, Any]:
    """Return the JSON object in ``path``; raises `ConfigError` when there is none."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}, expected a JSON object")
    return values


def _check(c: WorldModelConfig) -> None:
    def require(ok: bool, field: str, allowed: str) -> None:
        if not ok:
            raise ConfigError(f"{field}={getattr(c, field)!r}: expected {allowed}")

    def one_of(field: str, *allowed: Any) -> None:
        require(getattr(c, field) in allowed, field, f"one of {allowed}")

    size = c.resize_imgs_with_padding
    require(len(size) == 2 and size[0] == size[1] > 0, "resize_imgs_with_padding", "a square")
    for field in (
        "history_len",
        "future_len",
        "trace_group_horizon",
        "trace_uv_num_freqs",
        "trace_bspline_ctrl_per_token",
        "num_steps",
    ):
        require(getattr(c, field) > 0, field, "a positive integer")
    require(
        c.history_len % c.trace_group_horizon == 0,
        "trace_group_horizon",
        f"a divisor of history_len={c.history_len}",
    )
    check_curve(c.trace_knots, c.trace_bspline_n_ctrl, c.future_len)
    if c.trace_knots == "bezier":
        one_of("trace_bspline_n_ctrl", 4, 7, 10)
    require(c.trace_bspline_n_ctrl >= 4, "trace_bspline_n_ctrl", "at least 4 (cubic)")
    one_of("trace_head", *TRACE_HEADS)
    one_of("trace_output", "velocity", "curve")
    require(c.trace_grid > 0, "trace_grid", "a positive integer")
    require(c.trace_bins > 1, "trace_bins", "at least 2")
    require(
        c.trace_bspline_n_ctrl % c.trace_bspline_ctrl_per_token == 0,
        "trace_bspline_ctrl_per_token",
        f"a divisor of {c.trace_bspline_n_ctrl}",
    )
    require(
        c.trace_adaln_freq_embed_size % 2 == 0 and c.trace_adaln_freq_embed_size >= 4,
        "trace_adaln_freq_embed_size",
        "an even number of at least 4",
    )
    require(0 < c.min_period < c.max_period, "min_period", f"between 0 and {c.max_period}")
    require(c.expert_width_multiplier > 0, "expert_width_multiplier", "a positive number")
    one_of("attention_mode", "cross_attn")
    one_of("add_image_special_tokens", False)
    one_of("empty_cameras", 0)
    require(
        set(c.depth_lora_targets) <= set(LORA_TARGETS),
        "depth_lora_targets",
        f"a subset of {LORA_TARGETS}",
    )
    one_of("vision_tower", "siglip", "dinov2")
    one_of("vision_position_dtype", "bfloat16", "float32")
    one_of("dino_padding", "zeros", "border")
    one_of("prefix_attention", "bidirectional", "causal")
    one_of("image_position", "none", "sincos2d")
    require(c.rope_theta > 1, "rope_theta", "a base above 1")
    if c.delta_scale is not None:
        require(
            len(c.delta_scale) == 3 and min(c.delta_scale) > 0,
            "delta_scale",
            "three positive numbers",
        )
    if c.vision_tower == "dinov2":
        require(
            len(c.vision_feature_layers) > 0,
            "vision_feature_layers",
            "at least one layer for a dinov2 tower",
        )
        one_of("use_depth", False)
    if c.share_vision_features:
        one_of("vision_tower", "dinov2")
        one_of("use_dino", True)
    if c.query_depth:
        low, high = c.depth_log_min, c.depth_log_max
        require(
            low is not None and high is not None and low < high,
            "depth_log_min",
            f"a number below depth_log_max={high} when query_depth is on",
        )
