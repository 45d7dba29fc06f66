# SPDX-License-Identifier: Apache-2.0
"""Dense waypoints in one step, as Any-point Trajectory Modeling (ATM) regresses its tracks."""

from __future__ import annotations

import torch
from torch import Tensor

from mu0_core.model.flow import TraceSamples
from mu0_core.model.prefix import Prefix
from mu0_core.model.world_model import WorldModel


class WaypointRegression(WorldModel):
    """One forecast per observation: all of its samples are the same."""

    def predict(
        self,
        prefix: Prefix,
        features: Tensor | None,
        query: Tensor,
        history: Tensor | None = None,
        *,
        point_valid: Tensor | None = None,
        history_valid: Tensor | None = None,
    ) -> Tensor:
        """Return waypoints (B, N, D, 3) in scaled displacements; arguments as in `sample`."""
        state = query.new_zeros(len(query), 1, query.shape[1], self.config.trace_bspline_n_ctrl, 3)
        context = self.context(
            prefix, features, query, history, point_valid=point_valid, history_valid=history_valid
        )
        table = self.expert.modulate(query.new_ones(1))
        return self.flow(context, state, table).velocity[:, 0]

    @torch.no_grad()
    def sample(
        self,
        prefix: Prefix,
        features: Tensor | None,
        query: Tensor,
        history: Tensor | None = None,
        *,
        num_samples: int = 1,
        num_steps: int | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        **masks: Tensor | None,
    ) -> TraceSamples:
        """Return the forecast ``num_samples`` times; noise and steps change nothing."""
        found = self.predict(prefix, features, query, history, **masks)
        return TraceSamples(found[:, None].expand(-1, num_samples, -1, -1, -1).float(), None)
