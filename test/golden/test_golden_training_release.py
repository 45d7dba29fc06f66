# SPDX-License-Identifier: Apache-2.0
"""The training objective and its gradients are those of the released implementation."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from mu0_core.model.freeze import set_trainable
from mu0_core.model.layout import stored_names
from mu0_core.training.losses import TrainingBatch, training_loss


@pytest.fixture
def step(golden_dir, golden_model, complete_inputs, encode):
    """(model, inputs, loss terms) of the stored training step."""
    path = golden_dir / "train.inputs.safetensors"
    if not path.is_file():
        pytest.skip(f"no {path}")
    inputs = complete_inputs(load_file(path))
    set_trainable(golden_model)
    query, valid = inputs["current_kp"], inputs["key_pad_mask"]
    images = inputs["observation.images.cam_front"]
    batch = TrainingBatch(
        prefix=encode(golden_model, inputs),
        features=golden_model.point_features(images, query[..., :2], valid),
        query=query,
        point_valid=valid,
        control_points=inputs["ctrl_pts_future"],
        target_valid=inputs["valid_kp"],
        future_valid=inputs["valid_future"],
        cluster_ids=inputs.get("cluster_ids"),
        history=inputs["traj_history"],
    )
    terms = training_loss(golden_model, batch, inputs["noise"], inputs["time"])
    return golden_model, inputs, terms


def test_golden_release_training_loss(step, golden_dir, close):
    _, inputs, terms = step
    expected = load_file(golden_dir / "train.expected.safetensors")
    points = inputs["key_pad_mask"]
    close(terms.velocity, expected["v_t"], points)
    if terms.done_logits is not None:
        close(terms.done_logits, expected["done_logits"], points)
    for name, value in (
        ("loss_fm", terms.flow_matching),
        ("loss_done", terms.done),
        ("loss_rigidity", terms.rigidity),
        ("loss", terms.total),
    ):
        if name in expected:
            close(value.reshape(-1), expected[name].reshape(-1))


def test_golden_release_training_gradients(step, golden_dir):
    model, _, terms = step
    expected = json.loads((golden_dir / "train.expected.json").read_text())
    terms.total.backward()
    names = stored_names(model)
    norms, without = {}, set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.grad is not None:
            norms[names[name]] = parameter.grad.norm().item()
        elif parameter.requires_grad:
            without.add(names[name])
    assert without == set(expected["trainable_without_grad"])
    reference = expected["trainable_grad_l2_norms"]
    assert norms.keys() == reference.keys()
    for name, norm in reference.items():
        assert norms[name] == pytest.approx(norm, rel=1e-4, abs=5e-6), name


def test_golden_release_frozen_parts_get_no_gradient(step):
    model, _, terms = step
    terms.total.backward()
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert frozen and all(p.grad is None for p in frozen)
    assert torch.isfinite(terms.total)
