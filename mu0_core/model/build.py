# SPDX-License-Identifier: Apache-2.0
"""Which class a configuration describes."""

from __future__ import annotations

from mu0_core.model.backbone_config import BackboneConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.heads.grid import GridFlow
from mu0_core.model.heads.regression import WaypointRegression
from mu0_core.model.heads.tokens import CoordinateTokens
from mu0_core.model.world_model import WorldModel

_CLASSES = {
    "flow": WorldModel,
    "regression": WaypointRegression,
    "grid": GridFlow,
    "tokens": CoordinateTokens,
}


def build_world_model(config: WorldModelConfig, sizes: BackboneConfig) -> WorldModel:
    """Return the model of ``config.trace_head`` with random weights.

    Raises:
        ConfigError: sizes and architecture do not fit.
    """
    return _CLASSES[config.trace_head](config, sizes)
