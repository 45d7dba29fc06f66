# SPDX-License-Identifier: Apache-2.0
"""Configuration of the released action policy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from mu0_core.action_expert.adarms_transformer import TransformerConfig
from mu0_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """Sizes of the released policy; names and defaults are those of its checkpoints.

    Attributes:
        action_dim: real action channels; the head works on ``max_action_dim`` zero-padded ones.
        chunk_size: T action steps per call.
        gripper_spatial_pool_size: side p of the pooled wrist-camera map.
        grid_size: side of the grid of query points over the third-person image.
        trace_total_steps, trace_executed_steps: Euler steps of the trace flow and how many of
            them run before its hidden states are read.
        mask_all_history: the policy never sees history; False is not supported.
    """

    action_dim: int = 12
    chunk_size: int = 16
    state_dim: int = 16
    gripper_spatial_pool_size: int = 8
    use_trace: bool = True
    min_period: float = 4e-3
    max_period: float = 4.0
    max_action_dim: int = 32
    grid_size: int = 20
    mixer_heads: int = 16
    num_inference_steps: int = 10
    trace_total_steps: int = 4
    trace_executed_steps: int = 1
    mask_all_history: bool = True

    def __post_init__(self) -> None:
        def require(ok: bool, field: str, allowed: str) -> None:
            if not ok:
                raise ConfigError(f"{field}={getattr(self, field)!r}: expected {allowed}")

        for field in (
            "action_dim",
            "chunk_size",
            "state_dim",
            "gripper_spatial_pool_size",
            "num_inference_steps",
            "trace_total_steps",
        ):
            require(getattr(self, field) > 0, field, "a positive integer")
        require(
            self.action_dim <= self.max_action_dim,
            "action_dim",
            f"at most max_action_dim={self.max_action_dim}",
        )
        require(self.grid_size > 0 and self.grid_size % 2 == 0, "grid_size", "positive and even")
        require(
            1 <= self.trace_executed_steps <= self.trace_total_steps,
            "trace_executed_steps",
            f"1..{self.trace_total_steps}",
        )
        require(self.mask_all_history, "mask_all_history", "True")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PolicyConfig:
        """Build from decoded JSON; raises `ConfigError` on unknown fields."""
        unknown = sorted(set(values) - {f.name for f in dataclasses.fields(cls)})
        if unknown:
            raise ConfigError(f"policy config: unknown fields {unknown}")
        return cls(**values)


def gemma_sizes(values: dict[str, Any]) -> TransformerConfig:
    """Read the sizes of the head's Gemma stack (``width``, ``depth``, ``mlp_dim``, …).

    Raises:
        ConfigError: a size is missing, or the stack is of another kind.
    """
    kinds = {"hidden_activation": "gelu_pytorch_tanh", "attention_bias": False}
    for field, expected in kinds.items():
        if values.get(field, expected) != expected:
            raise ConfigError(f"gemma {field}={values[field]!r}: expected {expected!r}")
    try:
        return TransformerConfig(
            width=values["width"],
            num_layers=values["depth"],
            mlp_width=values["mlp_dim"],
            num_heads=values["num_heads"],
            num_kv_heads=values["num_kv_heads"],
            head_dim=values["head_dim"],
            rms_norm_eps=values["rms_norm_eps"],
            rope_theta=values["rope_theta"],
        )
    except KeyError as error:
        raise ConfigError(f"gemma sizes: {error} is missing") from error
