# SPDX-License-Identifier: Apache-2.0
"""The action head's transformer: who sees whom, and what may be cached."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mu0_core.action_expert.adarms_transformer import AdaRmsTransformer, TransformerConfig
from mu0_core.errors import ConfigError

SIZES = TransformerConfig(
    width=24, num_layers=3, mlp_width=48, num_heads=4, num_kv_heads=2, head_dim=8
)


def build(condition_prefix: bool) -> AdaRmsTransformer:
    torch.manual_seed(0)
    model = AdaRmsTransformer(replace(SIZES, condition_prefix=condition_prefix)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.fixture
def tokens():
    """(prefix, validity, actions, condition); the last two prefix tokens of row 0 are padding."""
    torch.manual_seed(1)
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[0, 4:] = False
    return torch.randn(2, 6, 24), valid, torch.randn(2, 5, 24), torch.randn(2, 24)


@pytest.mark.parametrize("condition_prefix", [True, False])
def test_padding_is_irrelevant_and_everything_else_matters(tokens, condition_prefix):
    model = build(condition_prefix)
    prefix, valid, actions, condition = tokens
    base = model(prefix, valid, actions, condition)
    padded = torch.where(valid[..., None], prefix, 9.0)
    torch.testing.assert_close(model(padded, valid, actions, condition), base)
    shorter = model(prefix[:1, :4], valid[:1, :4], actions[:1], condition[:1])
    torch.testing.assert_close(shorter, base[:1], atol=1e-5, rtol=1e-5)
    for changed in (
        (prefix + torch.randn_like(prefix), valid, actions, condition),
        (prefix, valid, torch.randn_like(actions), condition),
        (prefix, valid, actions, -condition),
    ):
        assert (model(*changed) - base).abs().max() > 1e-3


def test_actions_see_each_other_in_both_directions(tokens):
    model = build(True)
    prefix, valid, actions, condition = tokens
    base = model(prefix, valid, actions, condition)
    for position in (0, 4):
        changed = actions.clone()
        changed[:, position] += 1
        moved = (model(prefix, valid, changed, condition) - base).abs().amax(dim=(0, 2))
        assert (moved > 1e-4).all()


def test_an_unconditioned_prefix_equals_a_zero_condition(tokens):
    """Both kinds agree where the action tokens' condition is zero as well."""
    prefix, valid, actions, condition = tokens
    nothing = torch.zeros_like(condition)
    conditioned, cached = build(True), build(False)
    torch.testing.assert_close(
        conditioned(prefix, valid, actions, nothing),
        cached(prefix, valid, actions, nothing),
        atol=1e-5,
        rtol=1e-5,
    )
    assert (
        conditioned(prefix, valid, actions, condition) - cached(prefix, valid, actions, condition)
    ).abs().max() > 1e-3


def test_a_cached_prefix_serves_all_flow_times(tokens):
    model = build(False)
    prefix, valid, actions, condition = tokens
    cache = model.encode_prefix(prefix, valid)
    for scale in (1.0, -2.0):
        torch.testing.assert_close(
            model.decode(cache, valid, actions, scale * condition),
            model(prefix, valid, actions, scale * condition),
        )


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="heads"):
        replace(SIZES, num_kv_heads=3)
