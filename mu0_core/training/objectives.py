# SPDX-License-Identifier: Apache-2.0
"""What each kind of trace model minimises; that of μ0 is in `losses`."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from mu0_core.model.heads.regression import WaypointRegression
from mu0_core.model.heads.tokens import CoordinateTokens
from mu0_core.model.world_model import WorldModel
from mu0_core.training.losses import LossCounts, LossTerms, TrainingBatch, training_loss

Objective = Callable[
    [WorldModel, TrainingBatch, Tensor, Tensor, LossCounts | None], LossTerms
]  # fmt: skip


def regression_loss(
    model: WaypointRegression,
    batch: TrainingBatch,
    noise: Tensor,
    time: Tensor,
    counts: LossCounts | None = None,
) -> LossTerms:
    """Return the squared error of the waypoints, summed over a point, averaged over points."""
    found = model.predict(
        batch.prefix,
        batch.features,
        batch.query,
        batch.history,
        point_valid=batch.point_valid,
        history_valid=batch.history_valid,
    )
    error = (found.float() - batch.control_points).square().sum(dim=(2, 3))
    return _of_points(error, batch, counts, found)


def token_loss(
    model: CoordinateTokens,
    batch: TrainingBatch,
    noise: Tensor,
    time: Tensor,
    counts: LossCounts | None = None,
) -> LossTerms:
    """Return the cross entropy of the words given the true ones before, likewise."""
    context = model.context(
        batch.prefix,
        batch.features,
        batch.query,
        batch.history,
        point_valid=batch.point_valid,
        history_valid=batch.history_valid,
    )
    words = model.words(batch.control_points)
    logits = model.logits(context, model.values(words)[:, None])[:, 0].float()
    error = F.cross_entropy(logits.flatten(0, -2), words.flatten(), reduction="none")
    return _of_points(error.view(words.shape).sum(dim=(2, 3)), batch, counts, logits)


OBJECTIVES: dict[str, Objective] = {
    "flow": training_loss,
    "grid": training_loss,
    "regression": regression_loss,
    "tokens": token_loss,
}


def _of_points(
    error: Tensor, batch: TrainingBatch, counts: LossCounts | None, output: Tensor
) -> LossTerms:
    counted = batch.point_valid & batch.target_valid
    count = (counts or LossCounts.of(batch)).points
    total = error.masked_fill(~counted, 0.0).sum() / count.clamp(min=1)
    zero = total.new_zeros(())
    return LossTerms(total, total, zero, zero, output, None)
