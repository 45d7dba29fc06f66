# SPDX-License-Identifier: Apache-2.0
"""One forward pass: hidden depth and history change nothing, gradients reach what learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mu0_core.data.dataset import TraceDataset
from mu0_core.data.sample import SampleSettings
from mu0_core.data.sampling import SamplingSettings
from mu0_core.training.episodes.architecture import draw_up
from mu0_core.training.episodes.building import build
from mu0_core.training.episodes.module import TraceTraining
from mu0_core.training.episodes.sources import find_episodes
from mu0_core.training.episodes.stream import Collator, SampleStream

SCALE = (0.5, 0.5, 0.1)


@pytest.fixture
def module(settings):
    blueprint = draw_up(settings)
    built = build(
        blueprint, SCALE, settings.model, settings.fine_tune, history=True, depth=True, seed=0
    )
    torch.manual_seed(1)
    with torch.no_grad():  # away from the zeros that gates and adapters start at
        for parameter in built.model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return TraceTraining(built.model)


@pytest.fixture
def batch(settings, episodes):
    sample = SampleSettings(SCALE, (-1.0, 1.0), 32, SamplingSettings(2, 5))
    dataset = TraceDataset(find_episodes(str(episodes)), sample)
    stream = SampleStream(dataset, settings.losses, 0)
    return Collator(draw_up(settings).prompts, True)([stream[g] for g in range(4)])


def seen(batch, **changes):
    return replace(batch, seen=replace(batch.seen, **changes))


def test_a_hidden_depth_image_counts_as_none(module, batch):
    hidden = seen(batch, depth_kept=torch.zeros(4, dtype=torch.bool))
    without = seen(batch, depth_images=None, depth_kept=None)
    shown = seen(batch, depth_kept=torch.ones(4, dtype=torch.bool))
    losses = [module(b)["total"].item() for b in (hidden, without, shown)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[2] != pytest.approx(losses[1], rel=1e-5)


def test_depth_of_some_samples_is_encoded_as_among_all(module, batch):
    kept = torch.tensor([True, False, True, False])
    some = seen(batch, depth_kept=kept)
    model, ran = module.model, []
    encode = model.encode_image

    def watch(images, depth=False):
        if depth:
            ran.append(len(images))
        return encode(images, depth=depth)

    model.encode_image = watch
    one = module(some)["total"]
    assert ran == [2]  # hidden images cost nothing
    module._encode_depth = lambda images, kept: encode(images, depth=True)
    torch.testing.assert_close(one, module(some)["total"])


@pytest.mark.parametrize("kept", [[False] * 4, [True, False, False, True]])
def test_every_parameter_that_learns_gets_a_gradient(module, batch, kept):
    """Whatever is hidden: processes that share a model wait for each of them."""
    module.train()
    module(seen(batch, depth_kept=torch.tensor(kept)))["total"].backward()
    missing = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    assert all(p.grad is None for p in module.parameters() if not p.requires_grad)
    adapters = [p.grad for n, p in module.named_parameters() if ".lora_" in n and p.requires_grad]
    assert any(g.abs().max() > 0 for g in adapters) == any(kept)


def test_hidden_history_does_not_matter(module, batch):
    hidden = torch.zeros_like(batch.seen.history_kept)
    one = seen(batch, history_kept=hidden)
    two = seen(batch, history_kept=hidden, history=batch.seen.history + 1)
    torch.testing.assert_close(module(one)["total"], module(two)["total"])
    kept = seen(batch, history_kept=~hidden)
    assert abs(module(kept)["total"] - module(one)["total"]) > 1e-6


def test_bfloat16_keeps_parameters_and_comes_close(module, batch):
    exact = module(batch)
    half = TraceTraining(module.model, bfloat16=True)
    rough = half(batch)
    assert rough["total"].dtype == torch.float32
    assert rough["total"].item() == pytest.approx(exact["total"].item(), rel=0.05)
    assert not torch.equal(rough["total"], exact["total"])
    rough["total"].backward()
    learning = [p for p in module.parameters() if p.requires_grad]
    assert {p.dtype for p in learning} == {p.grad.dtype for p in learning} == {torch.float32}


def test_given_noise_it_samples(module, batch):
    noise = torch.randn(4, 3, batch.seen.query.shape[1], 10, 3)
    samples = module(batch.seen, noise=noise)
    assert samples.control_points.shape == noise.shape


def test_a_frozen_backbone_stays_in_evaluation_mode(settings):
    built = build(
        draw_up(settings), SCALE, settings.model, settings.fine_tune, history=True, depth=False,
        seed=0,
    )  # fmt: skip
    module = TraceTraining(built.model).train()
    assert module.model.expert.training and not module.model.backbone.training
    assert not module.model.dino.training
