# SPDX-License-Identifier: Apache-2.0
"""What is trained: μ0, or a model of another kind on the same backbone to compare it with."""

from __future__ import annotations

from dataclasses import replace

from mu0_core.errors import ConfigError
from mu0_core.model.config import WorldModelConfig

_GRID_STEPS = 100  # Euler steps of TraceGen's decoder
_TOKEN_WAYPOINTS = 8
_ALONE = {"trace_done_head": False, "rigidity_loss_weight": 0.0}  # none of them has these
METHODS = ("mu0", "waypoint-flow", "regression", "grid", "tokens")


def with_method(config: WorldModelConfig, method: str) -> WorldModelConfig:
    """Return the architecture, changed to that of a method.

    ``mu0`` changes nothing. ``waypoint-flow`` is μ0 without splines: its flow makes all steps.
    ``regression`` predicts them at once (like ATM), ``grid`` makes step increments at the cells of
    a grid in 100 Euler steps (like TraceGen), ``tokens`` writes coordinates as words (like
    HAMSTER).

    Raises:
        ConfigError: unknown method.
    """
    steps = config.future_len
    dense = {"trace_bspline_n_ctrl": steps, "trace_bspline_ctrl_per_token": steps}
    waypoints = {"trace_knots": "waypoints", **dense}
    words = {"trace_bspline_n_ctrl": _TOKEN_WAYPOINTS, "trace_bspline_ctrl_per_token": 1}
    changes: dict[str, dict[str, object]] = {
        "mu0": {},
        "waypoint-flow": waypoints,
        "regression": {"trace_head": "regression", **waypoints, **_ALONE},
        "grid": {
            "trace_head": "grid", "trace_knots": "increments", "num_steps": _GRID_STEPS,
            **dense, **_ALONE,
        },
        "tokens": {"trace_head": "tokens", "trace_knots": "waypoints", **words, **_ALONE},
    }  # fmt: skip
    if method not in changes:
        raise ConfigError(f"model.method={method!r}: expected one of {METHODS}")
    return replace(config, **changes[method])
