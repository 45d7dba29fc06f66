# SPDX-License-Identifier: Apache-2.0
"""The world model gives the numbers of the released implementation, step by step."""

from __future__ import annotations

import re

import pytest
import torch

from mu0_core.model.render import render_traces, trace_basis, unnormalise
from mu0_core.model.time_embedding import euler_times


@pytest.fixture
def prepared(golden_model, golden_case, encode):
    """(model, inputs, expected, prefix, features, sampling arguments) of one case."""
    inputs = golden_case.inputs
    valid = inputs["key_pad_mask"]
    with torch.no_grad():
        prefix = encode(golden_model, inputs)
        images, query = inputs["observation.images.cam_front"], inputs["current_kp"]
        features = golden_model.point_features(images, query[..., :2], valid)
    history = None if inputs["mask_all_history"].item() else inputs["traj_history"]
    arguments = {"query": query, "history": history, "point_valid": valid}
    return golden_model, inputs, golden_case.expected, prefix, features, arguments


def test_golden_release_prefix(prepared, close):
    model, _, expected, prefix, features, arguments = prepared
    valid = prefix.valid
    assert torch.equal(valid, expected["prefix_pad_mask"])
    assert torch.equal(prefix.position_ids, expected["prefix_position_ids"])
    for name, tensor in expected.items():
        if found := re.fullmatch(r"prefix\.layer(\d+)\.(key_rope|value)", name):
            layers = prefix.keys if found[2] == "key_rope" else prefix.values
            close(layers[int(found[1])], tensor, valid)
    last = f"prefix.layer{len(prefix.keys) - 1}.out"
    if last in expected:
        close(prefix.hidden, expected[last], valid)
    if "prefix_out_final_norm" in expected:
        normed = model.backbone.language.norm(prefix.hidden)
        close(normed, expected["prefix_out_final_norm"], valid)
    if "dino_feat" in expected:
        close(features, expected["dino_feat"], arguments["point_valid"])


@torch.no_grad()
def test_golden_release_first_velocity(prepared, close):
    """Suffix tokens, modulation, every expert layer and the velocity of the first step."""
    model, inputs, expected, prefix, features, arguments = prepared
    config, expert = model.config, model.expert
    context = model.context(prefix, features, **arguments)
    noise = inputs["noise"][:, None]
    modulation = expert.modulate(euler_times(config.num_steps))[:1]
    points = inputs["key_pad_mask"]
    stored = config.num_history_tokens + config.num_future_tokens
    kept = stored if arguments["history"] is not None else config.num_future_tokens

    def compare(tokens: torch.Tensor, name: str) -> None:
        """Tokens of masked history exist only in the expected tensor."""
        reference = expected[name].unflatten(1, (-1, stored))[:, :, -kept:]
        close(tokens.unflatten(1, (-1, kept)), reference, points)

    outputs = {}
    hooks = [
        layer.register_forward_hook(lambda _m, _i, out, j=j: outputs.__setitem__(j, out))
        for j, layer in enumerate(expert.layers)
    ]
    flow = model.flow(context, noise, modulation)
    for hook in hooks:
        hook.remove()
    close(flow.velocity[:, 0], expected["step0.v_t"], points)
    if "step0.suffix_embs" not in expected:
        return  # a case that stores no intermediate tensors
    compare(model.suffix(noise, context.suffix), "step0.suffix_embs")
    close(
        modulation.expand_as(expected["step0.adaln_modulation"]),
        expected["step0.adaln_modulation"],
    )
    found = re.compile(r"step0\.expert\.layer(\d+)\.out")
    numbers = sorted(int(m[1]) for k in expected if (m := found.fullmatch(k)))
    assert numbers
    stride = 1 if numbers[-1] < len(expert.layers) else expert.stride
    for number in numbers:
        compare(outputs[number // stride], f"step0.expert.layer{number}.out")
    compare(expert.norm(outputs[len(expert.layers) - 1]), "step0.suffix_out_final_norm")


@torch.no_grad()
def test_golden_release_euler_steps(prepared, close):
    model, inputs, expected, prefix, features, arguments = prepared
    steps, points = model.config.num_steps, inputs["key_pad_mask"]
    context = model.context(prefix, features, **arguments)
    table = model.expert.modulate(euler_times(steps))
    state = inputs["noise"][:, None]
    compared = 0
    for k in range(steps):
        velocity = model.flow(context, state, table[k : k + 1]).velocity
        state = state - velocity / steps
        for name, tensor in ((f"step{k}.v_t", velocity), (f"step{k}.x_after", state)):
            if name in expected:
                close(tensor[:, 0], expected[name], points)
                compared += 1
    assert compared


def test_golden_release_samples(prepared, close):
    model, inputs, expected, prefix, features, arguments = prepared
    points = inputs["key_pad_mask"]
    samples = model.sample(prefix, features, noise=inputs["noise"][:, None], **arguments)
    control = samples.control_points
    close(control[:, 0], expected["control_points"], points)
    if samples.done_logits is not None:
        done = samples.done_logits[:, 0]
        close(done, expected["done_logits"], points)
        if "pred_valid_step" in expected:
            threshold = model.config.done_threshold
            assert torch.equal(
                (done.sigmoid() >= threshold)[points], expected["pred_valid_step"][points]
            )
    traces = render_traces(control, trace_basis(model.config))
    close(traces[:, 0], expected["traces"], points)
    if "traces_abs_uvz" in expected:
        absolute = unnormalise(traces, inputs["current_kp"], model.config.delta_scale)
        close(absolute[:, 0], expected["traces_abs_uvz"], points)


def test_golden_release_samples_share_one_prefix(prepared, close):
    """The expected trace is unchanged among other samples of the same observation."""
    model, inputs, expected, prefix, features, arguments = prepared
    generator = torch.Generator().manual_seed(0)
    noise = inputs["noise"][:, None].expand(-1, 3, -1, -1, -1).clone()
    noise[:, ::2] = torch.randn(noise[:, ::2].shape, generator=generator)
    samples = model.sample(prefix, features, num_samples=3, noise=noise, **arguments)
    points = inputs["key_pad_mask"]
    close(samples.control_points[:, 1], expected["control_points"], points)
    assert not torch.allclose(
        samples.control_points[:, 0][points], expected["control_points"][points], atol=1e-3
    )
