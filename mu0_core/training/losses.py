# SPDX-License-Identifier: Apache-2.0
"""The training objective of the world model (μ0 paper): flow matching, end of motion, rigidity.

Noise and flow time are arguments, so that a loss is a pure function of its inputs. Its terms are
means; what they are divided by may be given, so that the parts of a batch that was split add up to
the loss of the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mu0_core.errors import ShapeError
from mu0_core.model.prefix import Prefix
from mu0_core.model.world_model import WorldModel


@dataclass(frozen=True)
class TrainingBatch:
    """Observations and their targets. B observations, N query points, D control points, H steps.

    Attributes:
        prefix: freshly encoded (gradients flow into adapters) or cached.
        features: (B, N, C) point features, or None for a model without.
        query: (B, N, 3) u, v in [-1, 1], z in metres.
        point_valid: (B, N) bool, False = padding.
        control_points: (B, N, D, 3) target, scaled deltas.
        target_valid: (B, N) bool, the spline fit had enough valid steps.
        future_valid: (B, N, H) bool, the step belongs to the motion.
        cluster_ids: (B, N) int, equal = one rigid body, negative = none; or None.
        history: (B, N, h, 3) past minus current, or None.
        history_valid: (B, N) bool, False drops a point's history; None keeps all.
    """

    prefix: Prefix
    features: Tensor | None
    query: Tensor
    point_valid: Tensor
    control_points: Tensor
    target_valid: Tensor
    future_valid: Tensor
    cluster_ids: Tensor | None = None
    history: Tensor | None = None
    history_valid: Tensor | None = None


@dataclass(frozen=True)
class LossCounts:
    """What the terms are divided by, as scalars; sums over the parts of a split batch.

    Attributes:
        points: of flow matching: real points with a target.
        steps: of the end of motion: steps of real points.
        clusters: of rigidity: rigid bodies with at least two such points.
    """

    points: Tensor
    steps: Tensor
    clusters: Tensor

    @classmethod
    def of(cls, batch: TrainingBatch) -> LossCounts:
        """Count a batch."""
        counted = batch.point_valid & batch.target_valid
        clusters = counted.new_zeros((), dtype=torch.long)
        if batch.cluster_ids is not None:
            clusters = clusters + len(_bodies(_pairs(batch.cluster_ids, counted))[1])
        steps = batch.point_valid.sum() * batch.future_valid.shape[-1]
        return cls(counted.sum(), steps, clusters)


@dataclass(frozen=True)
class LossTerms:
    """Scalars, before weighting except ``total``; and the outputs they were computed from."""

    total: Tensor
    flow_matching: Tensor
    done: Tensor
    rigidity: Tensor
    velocity: Tensor
    done_logits: Tensor | None


def training_loss(
    model: WorldModel,
    batch: TrainingBatch,
    noise: Tensor,
    time: Tensor,
    counts: LossCounts | None = None,
) -> LossTerms:
    """Return FM + done_loss_weight · done + rigidity_loss_weight · rigidity.

    Args:
        noise: (B, N, D, 3) standard normal ε.
        time: (B,) flow time, 1 = noise.
        counts: denominators of the whole batch when ``batch`` is a part of it; its own if None.

    Raises:
        ShapeError: ``noise`` does not match the targets.
    """
    if noise.shape != batch.control_points.shape:
        raise ShapeError(
            f"noise has shape {tuple(noise.shape)}, targets {tuple(batch.control_points.shape)}"
        )
    t = time[:, None, None, None]
    state = t * noise + (1 - t) * batch.control_points
    flow = model.velocity(
        batch.prefix,
        batch.features,
        batch.query,
        state,
        time,
        batch.history,
        point_valid=batch.point_valid,
        history_valid=batch.history_valid,
    )
    velocity = flow.velocity[:, 0]
    counts = counts or LossCounts.of(batch)
    counted = batch.point_valid & batch.target_valid
    wanted = noise - batch.control_points
    if model.config.trace_output == "curve":  # what is learned is the curve, at every flow time
        fm = flow_matching_loss(velocity * t, wanted * t, counted, counts.points)
    else:
        fm = flow_matching_loss(velocity, wanted, counted, counts.points)
    zero = fm.new_zeros(())
    done_logits, done = None, zero
    if flow.done_logits is not None:
        done_logits = flow.done_logits[:, 0]
        done = done_loss(done_logits, batch.future_valid, batch.point_valid, counts.steps)
    rigidity = zero
    if model.config.rigidity_loss_weight > 0 and batch.cluster_ids is not None:
        estimate = state - t * velocity
        rigidity = rigidity_loss(estimate, batch.cluster_ids, counted, counts.clusters)
    total = fm + model.config.done_loss_weight * done
    total = total + model.config.rigidity_loss_weight * rigidity
    return LossTerms(total, fm, done, rigidity, velocity, done_logits)


def flow_matching_loss(
    velocity: Tensor, target: Tensor, counted: Tensor, count: Tensor | None = None
) -> Tensor:
    """Squared error summed over the D·3 elements of a point, averaged over counted points.

    ``count`` replaces their number, here and in the other terms.
    """
    error = (velocity - target).square().sum(dim=(2, 3))
    count = counted.sum() if count is None else count
    return torch.where(counted, error, 0.0).sum() / count.clamp(min=1)


def done_loss(
    logits: Tensor, future_valid: Tensor, point_valid: Tensor, count: Tensor | None = None
) -> Tensor:
    """Binary cross entropy of (B, N, H) logits, averaged over real points and steps."""
    error = F.binary_cross_entropy_with_logits(logits, future_valid.float(), reduction="none")
    error = torch.where(point_valid[..., None], error, 0.0)
    count = point_valid.sum() * logits.shape[-1] if count is None else count
    return error.sum() / count.clamp(min=1)


def rigidity_loss(
    control_points: Tensor, cluster_ids: Tensor, counted: Tensor, count: Tensor | None = None
) -> Tensor:
    """Penalise distances within a rigid body that change along the trace.

    Per pair of counted points of one cluster: population variance over the D control points of
    their distance; mean over the pairs of a cluster, then over all clusters with a pair.

    Args:
        control_points: (B, N, D, 3) estimate, scaled deltas.
        cluster_ids: (B, N) int, negative = no cluster.
        counted: (B, N) bool.
        count: number of clusters with a pair, if not that of this batch.
    """
    pairs = _pairs(cluster_ids, counted)
    if not len(pairs[0]):
        return control_points.new_zeros(())
    b, i, j, _ = pairs
    distance = torch.linalg.vector_norm(control_points[b, i] - control_points[b, j], dim=-1)
    variance = distance.var(dim=-1, correction=0)
    cluster, size = _bodies(pairs)
    total = variance.new_zeros(len(size)).index_add(0, cluster, variance)
    mean = total / size
    return mean.mean() if count is None else mean.sum() / count.clamp(min=1)


def _pairs(cluster_ids: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return observation, two points and cluster id of every pair of one body."""
    member = counted & (cluster_ids >= 0)
    same = (cluster_ids[:, :, None] == cluster_ids[:, None]) & member[:, :, None] & member[:, None]
    b, i, j = same.triu(diagonal=1).nonzero(as_tuple=True)
    return b, i, j, cluster_ids[b, i]


def _bodies(pairs: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the body of each pair as an index, and the number of pairs of each body."""
    b, _, _, ids = pairs
    _, body, size = torch.stack([b, ids]).unique(dim=1, return_inverse=True, return_counts=True)
    return body, size
