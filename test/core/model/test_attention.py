# SPDX-License-Identifier: Apache-2.0
"""Grouped attention against its definition; rotation is an isometry that sees distances only."""

from __future__ import annotations

import pytest
import torch

from mu0_core.model.attention import attend, rotate, rotation


def by_definition(query, key, value, mask):
    groups = query.shape[2] // key.shape[2]
    key, value = (t.repeat_interleave(groups, dim=2).transpose(1, 2) for t in (key, value))
    logits = query.transpose(1, 2) @ key.mT * query.shape[-1] ** -0.5
    logits = logits.masked_fill(~mask[:, None], -torch.inf)
    return (logits.softmax(-1) @ value).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("rows", ["none", "one", "all", "causal"])
def test_attend_equals_its_definition(kv_heads, rows):
    torch.manual_seed(0)
    tokens = 7
    keys = 7 if rows == "causal" else 9
    query = torch.randn(2, tokens, 6, 4)
    key, value = torch.randn(2, 2, keys, kv_heads, 4)
    mask = torch.rand(2, 1 if rows == "one" else tokens, keys) < 0.6
    mask[..., 0] = True
    if rows == "none":
        mask[:] = True
    if rows == "causal":
        mask = torch.ones(2, tokens, keys).tril().bool()
    given = None if rows in ("none", "causal") else mask
    actual = attend(query, key, value, given, causal=rows == "causal")
    expected = by_definition(query, key, value, mask.expand(2, tokens, keys))
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)


def test_rotation_keeps_norms_and_depends_on_distance_only():
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 16)

    def score(at, to):
        a, b = (rotate(x, rotation(torch.tensor([[p]]), 16, 1e4)) for x, p in ((q, at), (k, to)))
        assert a.norm().item() == pytest.approx(q.norm().item(), rel=1e-6)
        return (a * b).sum().item()

    assert score(3, 5) == pytest.approx(score(40, 42), abs=1e-4)
    assert score(3, 5) != pytest.approx(score(3, 6), abs=1e-3)
    assert score(0, 0) == pytest.approx((q * k).sum().item(), abs=1e-6)
