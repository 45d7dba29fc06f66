# SPDX-License-Identifier: Apache-2.0
"""Recomputing expert layers in the backward pass saves what lies inside and changes no number."""

from __future__ import annotations

import torch


def step(model, scene, checkpointing):
    """Return loss, gradients, and how often a layer was begun."""
    model.train()
    model.zero_grad()
    model.expert.checkpointing = checkpointing
    calls = []
    handle = model.expert.layers[1].register_forward_pre_hook(lambda *_: calls.append(1))
    prefix = model.encode_prefix(scene.images, scene.tokens, scene.mask, with_hidden=False)
    features = model.point_features(scene.images, scene.query[..., :2], scene.point_valid)
    flow = model.velocity(
        prefix.detach(), features, scene.query, scene.noise, torch.tensor([0.3, 0.8]),
        scene.history, point_valid=scene.point_valid,
    )  # fmt: skip
    loss = flow.velocity[scene.point_valid[:, None]].square().mean()
    loss.backward()
    handle.remove()
    grads = {n: p.grad.clone() for n, p in model.expert.named_parameters() if p.grad is not None}
    return loss.detach(), grads, len(calls)


def test_gradients_are_equal_and_layers_run_twice(model, scene):
    plain, checked = (step(model, scene, on) for on in (False, True))
    assert torch.equal(plain[0], checked[0]) and (plain[2], checked[2]) == (1, 2)
    assert plain[1].keys() == checked[1].keys() and len(plain[1]) > 10
    for name, gradient in plain[1].items():
        assert torch.equal(gradient, checked[1][name]), name


def test_without_gradients_nothing_is_recomputed(model, scene):
    model.expert.checkpointing = True
    with torch.no_grad():
        prefix = model.encode_prefix(scene.images, scene.tokens, scene.mask)
        features = model.point_features(scene.images, scene.query[..., :2])
        one = model.sample(prefix, features, scene.query, noise=scene.noise[:, None])
        model.expert.checkpointing = False
        two = model.sample(prefix, features, scene.query, noise=scene.noise[:, None])
    assert torch.equal(one.control_points, two.control_points)
