# SPDX-License-Identifier: Apache-2.0
"""Configuration of the embedded action expert."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mu0_core.action_expert.adarms_transformer import TransformerConfig
from mu0_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TracePolicyConfig:
    """Sizes and conventions; see `TracePolicy`.

    Attributes:
        backbone_width: width d of the backbone's tokens.
        num_control_points: D of the forecast splines.
        action_dim: tip offset x, y, z in the base frame and finger opening.
        chunk_size: T steps of ``step_period_s``; ``execute_steps`` of them are run.
        use_trace: False = the ablation without motion (mixer and motion tokens off).
        max_points: most query points.
        noise_scale: of the noise that a chunk is made from, 0..1; less than 1 keeps to what is
            most likely.
    """

    robot: str = "fr3"
    world_model: str = "mu0-embedded"
    backbone_width: int = 576
    num_control_points: int = 10
    width: int = 192
    num_layers: int = 4
    mlp_width: int = 768
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 48
    mixer_heads: int = 8
    action_dim: int = 4
    chunk_size: int = 16
    execute_steps: int = 8
    step_period_s: float = 0.1
    num_steps: int = 10
    use_trace: bool = True
    prefix_tokens: str = "language"
    max_points: int = 32
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.execute_steps <= self.chunk_size:
            raise ConfigError(
                f"execute_steps {self.execute_steps} must be in 1..chunk_size {self.chunk_size}"
            )
        if not 0 <= self.noise_scale <= 1:
            raise ConfigError(f"noise_scale {self.noise_scale} must be in 0..1")
        if self.prefix_tokens not in ("language", "full"):
            raise ConfigError(f"prefix_tokens {self.prefix_tokens!r} must be language or full")

    @property
    def transformer(self) -> TransformerConfig:
        """Sizes of the action head's stack."""
        return TransformerConfig(
            width=self.width,
            num_layers=self.num_layers,
            mlp_width=self.mlp_width,
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            head_dim=self.head_dim,
            condition_prefix=False,
        )

    @classmethod
    def from_json(cls, path: Path) -> TracePolicyConfig:
        """Read a configuration; unknown fields are an error."""
        data = json.loads(path.read_text())
        unknown = sorted(set(data) - {f.name for f in fields(cls)})
        if unknown:
            raise ConfigError(f"{path}: unknown fields {unknown}")
        return cls(**data)

    def to_json(self, path: Path) -> None:
        """Write all fields."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
