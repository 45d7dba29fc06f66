# SPDX-License-Identifier: Apache-2.0
"""The training objective: zero where it should be, and equal to its definition by loops."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import combinations

import pytest
import torch

from mu0_core.training.flow_sampling import draw_history_valid, draw_time
from mu0_core.training.losses import (
    LossCounts,
    TrainingBatch,
    done_loss,
    flow_matching_loss,
    rigidity_loss,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_flow_matching_sums_elements_and_averages_counted_points():
    velocity, target = torch.randn(2, 2, 3, 4, 3)
    counted = torch.tensor([[True, False, True], [False, False, True]])
    rows = [(velocity - target).square()[b, n].sum() for b, n in counted.nonzero().tolist()]
    torch.testing.assert_close(
        flow_matching_loss(velocity, target, counted), torch.stack(rows).mean()
    )
    assert flow_matching_loss(velocity, target, torch.zeros_like(counted)) == 0


def test_done_loss_ignores_padding():
    logits, valid = torch.randn(2, 3, 5), torch.rand(2, 3, 5) < 0.5
    points = torch.tensor([[True, True, False], [True, False, False]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[points], valid[points].float()
    )
    torch.testing.assert_close(done_loss(logits, valid, points), expected)


def test_rigid_motion_costs_nothing():
    body = torch.randn(1, 4, 1, 3)
    angle = torch.linspace(0, 2, 6)
    turn = torch.stack(
        [
            angle.cos(),
            -angle.sin(),
            0 * angle,
            angle.sin(),
            angle.cos(),
            0 * angle,
            0 * angle,
            0 * angle,
            1 + 0 * angle,
        ],
        dim=-1,
    ).reshape(6, 3, 3)
    moved = torch.einsum("dij,bnj->bndi", turn, body[:, :, 0]) + torch.randn(6, 3)
    together, everyone = torch.zeros(1, 4, dtype=torch.long), torch.ones(1, 4, dtype=torch.bool)
    assert rigidity_loss(moved, together, everyone) < 1e-10
    assert rigidity_loss(torch.randn(1, 4, 6, 3), together, everyone) > 1e-2


def test_rigidity_equals_its_definition():
    points = torch.randn(2, 6, 5, 3)
    ids = torch.tensor([[0, 0, 0, 1, 1, -1], [2, 2, -1, -1, 0, 1]])
    counted = torch.tensor([[True] * 6, [True, True, True, True, True, False]])
    counted[0, 2] = False
    groups = []
    for b in range(2):
        for cluster in range(3):
            members = [n for n in range(6) if ids[b, n] == cluster and counted[b, n]]
            pairs = [
                (points[b, i] - points[b, j]).norm(dim=-1).var(correction=0)
                for i, j in combinations(members, 2)
            ]
            if pairs:
                groups.append(torch.stack(pairs).mean())
    assert len(groups) == 3
    torch.testing.assert_close(rigidity_loss(points, ids, counted), torch.stack(groups).mean())


def test_rigidity_without_pairs_is_zero_and_has_finite_gradients():
    points = torch.zeros(1, 3, 4, 3, requires_grad=True)
    ids = torch.tensor([[0, 1, -1]])
    everyone = torch.ones(1, 3, dtype=torch.bool)
    assert rigidity_loss(points, ids, everyone) == 0
    rigidity_loss(points, torch.zeros_like(ids), everyone).backward()
    assert torch.isfinite(points.grad).all()


def test_flow_times_lie_in_range_and_prefer_noise():
    time = draw_time(20_000, torch.Generator().manual_seed(0))
    assert time.min() >= 0.001 and time.max() <= 1.0
    assert time.mean().item() == pytest.approx(0.6 * 0.999 + 0.001, abs=0.01)


def test_history_is_dropped_as_often_as_asked():
    keep = draw_history_valid(4000, 8, 0.5, 0.3, torch.Generator().manual_seed(0))
    assert keep.float().mean().item() == pytest.approx(0.35, abs=0.02)
    assert (~keep.any(dim=1)).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert draw_history_valid(3, 4, 0.0, 0.0).all()
    assert not draw_history_valid(3, 4, 1.0, 0.0).any()


def random_batch(sizes, points=6, steps=4):
    """A batch of observations whose numbers of real points are ``sizes``."""
    count = len(sizes)
    valid = torch.arange(points) < torch.tensor(sizes)[:, None]
    return TrainingBatch(
        prefix=None,
        features=None,
        query=torch.zeros(count, points, 3),
        point_valid=valid,
        control_points=torch.randn(count, points, 5, 3),
        target_valid=torch.rand(count, points) < 0.7,
        future_valid=torch.rand(count, points, steps) < 0.5,
        cluster_ids=torch.randint(-1, 3, (count, points)),
    )


def term_sums(batch, velocity, logits, counts):
    counted = batch.point_valid & batch.target_valid
    return torch.stack(
        [
            flow_matching_loss(velocity, batch.control_points, counted, counts.points),
            done_loss(logits, batch.future_valid, batch.point_valid, counts.steps),
            rigidity_loss(velocity, batch.cluster_ids, counted, counts.clusters),
        ]
    )


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_the_parts_of_a_split_batch_add_up_to_the_whole(cut):
    sizes = [6, 1, 3, 0, 5]
    whole = random_batch(sizes)
    velocity, logits = torch.randn(5, 6, 5, 3), torch.randn(5, 6, 4)
    parts = [
        replace(whole, **{
            f.name: getattr(whole, f.name)[rows]
            for f in fields(whole) if isinstance(getattr(whole, f.name), torch.Tensor)
        })
        for rows in (slice(cut), slice(cut, None))
    ]  # fmt: skip
    each = [LossCounts.of(part) for part in parts]
    counts = LossCounts(*(sum(getattr(c, f.name) for c in each) for f in fields(LossCounts)))
    own = LossCounts.of(whole)
    assert (counts.points, counts.steps, counts.clusters) == (
        own.points, own.steps, own.clusters,
    )  # fmt: skip
    assert counts.clusters > 1 and counts.points > 1
    summed = term_sums(parts[0], velocity[:cut], logits[:cut], counts) + term_sums(
        parts[1], velocity[cut:], logits[cut:], counts
    )
    torch.testing.assert_close(summed, term_sums(whole, velocity, logits, own))


def test_counts_of_a_batch_without_anything_are_zero():
    counts = LossCounts.of(random_batch([0, 0]))
    assert (int(counts.points), int(counts.steps), int(counts.clusters)) == (0, 0, 0)
