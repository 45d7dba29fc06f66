# SPDX-License-Identifier: Apache-2.0
"""Settings of the safety gate; the only home of their defaults."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from mu0_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What the gate allows. Joint limits come from the robot description.

    Attributes:
        dry_run: check everything, command nothing.
        max_steps: longest chunk accepted.
        max_duration_s: longest motion accepted, before slowing.
        max_start_jump_rad: first step against the commanded state.
        max_step_jump_rad: between steps; more is a spike, not fast motion.
        max_observation_age_at_rest_s: of a chunk's observation, for an arm that stands still.
        max_observation_age_s: for an arm at its velocity limit; the faster, the nearer to this.
        max_state_age_s: of the joint states.
        max_stretch: slow a chunk down by at most this factor; more is refused.
        ramp_s: length of the soft start and of the rest tail.
        jitter_s: how far the controller may be ahead of or behind the gate, because messages take
            time; braking and replacing a motion bear it.
        sample_period_s: spacing of the points that the controller gets.
        limit_share: share of the joint limits that the output may use.
        max_non_finite_in_a_row: non-finite chunks in a row that latch the gate.
        max_tracking_error_rad: commanded against measured; more latches the gate.
        arming_s: healthy joint states needed before the first motion.
        speed_scale: 1 = the robot description's limits; lower is slower.
        check_collisions: keep the arm's body clear of itself, the floor and obstacles; needs the
            part ``collision`` of the robot description.
        require_points: move only while the points of a depth camera are there and fresh.
        max_points_age_s: of those points.
    """

    dry_run: bool = False
    max_steps: int = 256
    max_duration_s: float = 20.0
    max_start_jump_rad: float = 0.15
    max_step_jump_rad: float = 0.25
    max_observation_age_s: float = 0.5
    max_observation_age_at_rest_s: float = 3.0
    max_state_age_s: float = 0.25
    max_stretch: float = 4.0
    ramp_s: float = 0.2
    jitter_s: float = 0.05
    sample_period_s: float = 0.02
    limit_share: float = 0.95
    max_non_finite_in_a_row: int = 3
    max_tracking_error_rad: float = 0.15
    arming_s: float = 0.0
    speed_scale: float = 1.0
    check_collisions: bool = True
    require_points: bool = False
    max_points_age_s: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                continue
            low = 0.0 if field.name in ("arming_s", "jitter_s") else 1e-6
            if not np.isfinite(value) or value < low:
                raise ConfigError(f"{field.name} = {value}: expected a finite number >= {low}")
        if self.max_stretch < 1 or not self.limit_share <= 1 or not self.speed_scale <= 1:
            raise ConfigError(
                f"max_stretch {self.max_stretch} must be >= 1, limit_share {self.limit_share} and "
                f"speed_scale {self.speed_scale} <= 1"
            )
