# SPDX-License-Identifier: Apache-2.0
"""A flow over a uniform grid of points, as TraceGen's decoder; a query point reads its cell.

The points of the grid take the place of the query points, so nothing is known of where in its cell
a point lies. Cells without a query point are left out, in training too: they have no target there.
"""

from __future__ import annotations

from torch import Tensor

from mu0_core.model.flow import FlowContext
from mu0_core.model.prefix import Prefix
from mu0_core.model.world_model import WorldModel


class GridFlow(WorldModel):
    """The flow of μ0 at the centres of ``trace_grid`` x ``trace_grid`` cells."""

    def centres(self, query: Tensor) -> Tensor:
        """Return (..., 2 or 3) with u, v moved to the centre of their cell."""
        cells = self.config.trace_grid
        cell = ((query[..., :2] + 1) / 2 * cells).floor().clamp(0, cells - 1)
        moved = query.clone()
        moved[..., :2] = (cell + 0.5) / cells * 2 - 1
        return moved

    def read_map(
        self, patch_map: Tensor, query_uv: Tensor, point_valid: Tensor | None = None
    ) -> Tensor:
        """Read the map at the centres of the cells."""
        return super().read_map(patch_map, self.centres(query_uv), point_valid)

    def context(
        self,
        prefix: Prefix,
        features: Tensor | None,
        query: Tensor,
        history: Tensor | None = None,
        **how,
    ) -> FlowContext:
        """Compute what all evaluations share, for the centres of the cells."""
        return super().context(prefix, features, self.centres(query), history, **how)
