# SPDX-License-Identifier: Apache-2.0
"""Parameters of the safety gate's node; the gate's own defaults stand in `GateSettings`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mu0_core.control.gate_settings import GateSettings
from mu0_ros.obstacles import OBSTACLES
from mu0_ros.params import parameter

_DEFAULT = GateSettings()


@dataclass(frozen=True)
class SafetyGateParameters:
    """What can be set; fields that `GateSettings` also has are handed to it."""

    robot: str = parameter("fr3", "name in config/robots or path of a robot description")
    dry_run: bool = parameter(False, "check chunks but command nothing")
    speed_scale: float = parameter(
        _DEFAULT.speed_scale,
        "share of the robot's speed limits that may be used",
        low=0.01,
        high=1.0,
    )
    max_observation_age_s: float = parameter(
        _DEFAULT.max_observation_age_s,
        "oldest observation of a chunk at full speed",
        unit="s",
        low=0.01,
        high=10.0,
    )
    max_observation_age_at_rest_s: float = parameter(
        _DEFAULT.max_observation_age_at_rest_s,
        "oldest observation of a chunk at rest",
        unit="s",
        low=0.01,
        high=30.0,
    )
    max_state_age_s: float = parameter(
        _DEFAULT.max_state_age_s, "oldest joint states", unit="s", low=0.01, high=5.0
    )
    max_tracking_error_rad: float = parameter(
        _DEFAULT.max_tracking_error_rad,
        "commanded against measured; more latches",
        unit="rad",
        low=0.001,
        high=1.0,
    )
    arming_s: float = parameter(
        _DEFAULT.arming_s,
        "healthy joint states needed before motion",
        unit="s",
        low=0.0,
        high=10.0,
    )
    jitter_s: float = parameter(
        _DEFAULT.jitter_s,
        "how far the controller may be ahead of or behind the gate",
        unit="s",
        low=0.0,
        high=0.2,
    )
    require_task: bool = parameter(True, "pass only chunks of the task that task_status names")
    check_collisions: bool = parameter(
        _DEFAULT.check_collisions,
        "keep the arm's body clear of itself, the floor and obstacles",
    )
    obstacles: str = parameter("", OBSTACLES)
    points_topic: str = parameter(
        "", "PointCloud2 in the base frame, to keep clear of; once named it is required"
    )
    point_radius_m: float = parameter(
        0.02, "size of a point of that cloud", unit="m", low=0.005, high=0.2
    )
    max_points_age_s: float = parameter(
        _DEFAULT.max_points_age_s, "oldest points to move by", unit="s", low=0.05, high=30.0
    )
    require_controller: bool = parameter(
        True, "move only while the arm's controller listens and nobody else commands it"
    )
    protective_stop_topic: str = parameter(
        "", "std_msgs/Bool of the robot's protective or emergency stop; once named it is required"
    )
    protective_stop_value: bool = parameter(
        True, "the value that means stop; false for a topic that says that all is well"
    )

    def gate_settings(self) -> GateSettings:
        """Return the settings of the gate itself."""
        shared = {field.name for field in fields(GateSettings)} & {f.name for f in fields(self)}
        values = {name: getattr(self, name) for name in shared}
        return GateSettings(**values, require_points=bool(self.points_topic))
