# SPDX-License-Identifier: Apache-2.0
"""Adapters start as nothing, learn alone, and merge into weights that give the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mu0_core.errors import ConfigError
from mu0_core.model.lora import AdaptedLinear, adapt, merged


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Sequential(nn.Linear(7, 3, bias=False)))


def shake(module):
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if ".lora_" in name:
                parameter.normal_()


def test_an_adapted_network_starts_as_the_plain_one(net):
    x = torch.randn(4, 5)
    before = net(x)
    assert adapt(net, rank=2, alpha=4.0) == ["0", "2.0"]
    assert torch.equal(net(x), before)
    assert isinstance(net[0], AdaptedLinear) and net[0].out_features == 7


def test_only_adapters_learn(net):
    adapt(net, rank=2, alpha=4.0)
    learning = {name for name, p in net.named_parameters() if p.requires_grad}
    assert learning and all(".lora_" in name for name in learning)
    shake(net)
    net(torch.randn(4, 5)).square().sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in net.parameters())


def test_merged_weights_give_the_same_numbers_under_the_old_names(net):
    x, names = torch.randn(4, 5), set(net.state_dict())
    layers = adapt(net, rank=2, alpha=6.0)
    shake(net)
    state = merged(net.state_dict(), layers, scale=3.0)
    assert set(state) == names
    plain = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Sequential(nn.Linear(7, 3, bias=False)))
    plain.load_state_dict(state)
    torch.testing.assert_close(plain(x), net(x))
    assert not torch.allclose(plain[0].weight, net[0].weight)


def test_other_adapters_of_a_state_stay(net):
    layers = adapt(net, rank=1, alpha=1.0)
    state = net.state_dict() | {"tower.lora_A.default.weight": torch.ones(1, 1)}
    assert "tower.lora_A.default.weight" in merged(state, layers, 1.0)


def test_a_rank_below_one_is_refused(net):
    with pytest.raises(ConfigError, match="rank 0"):
        adapt(net, rank=0, alpha=1.0)
