# SPDX-License-Identifier: Apache-2.0
"""The gate decides how much motion enters; padding stays as it was."""

from __future__ import annotations

import pytest
import torch

from mu0_core.action_expert.gated_motion_mixer import GatedMotionMixer


@pytest.fixture
def mixer() -> GatedMotionMixer:
    torch.manual_seed(0)
    return GatedMotionMixer(16, 8, num_heads=4).eval()


@pytest.fixture
def tokens():
    """(backbone tokens, validity, motion tokens); the last token of row 0 is padding."""
    torch.manual_seed(1)
    valid = torch.ones(2, 5, dtype=torch.bool)
    valid[0, -1] = False
    return torch.randn(2, 5, 16), valid, torch.randn(2, 7, 8)


def test_the_gate_scales_the_contribution(mixer, tokens):
    z, valid, motion = tokens
    half = mixer(z, valid, motion) - z
    assert mixer.gate.item() == 0 and half[valid].abs().max() > 1e-3
    with torch.no_grad():
        mixer.gate.fill_(100.0)
        torch.testing.assert_close(mixer(z, valid, motion) - z, 2 * half, atol=1e-6, rtol=1e-5)
        mixer.gate.fill_(-100.0)
    assert torch.equal(mixer(z, valid, motion), z)


def test_padded_rows_come_back_unchanged(mixer, tokens):
    z, valid, motion = tokens
    assert torch.equal(mixer(z, valid, motion)[~valid], z[~valid])


def test_motion_is_a_set_and_its_padding_is_irrelevant(mixer, tokens):
    z, valid, motion = tokens
    base = mixer(z, valid, motion)
    torch.testing.assert_close(mixer(z, valid, motion.flip(1)), base, atol=1e-6, rtol=1e-5)
    longer = torch.cat([motion, 9 * torch.ones(2, 3, 8)], dim=1)
    real = torch.arange(10).expand(2, -1) < 7
    torch.testing.assert_close(mixer(z, valid, longer, real), base, atol=1e-6, rtol=1e-5)
    assert (mixer(z, valid, longer) - base).abs().max() > 1e-3
