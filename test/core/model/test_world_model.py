# SPDX-License-Identifier: Apache-2.0
"""Laws of the world model that hold for any weights: what may and what must not matter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mu0_core.errors import ShapeError
from mu0_core.model.noise import seeded_noise
from mu0_core.model.time_embedding import euler_times


def forecast(model, scene, *, starts=None, **changes):
    """Return the samples of a (changed) scene; ``starts`` is noise of several samples."""
    s = replace(scene, **changes)
    with torch.no_grad():
        prefix = model.encode_prefix(s.images, s.tokens, s.mask)
        features = model.point_features(s.images, s.query[..., :2], s.point_valid)
    starts = s.noise[:, None] if starts is None else starts
    return model.sample(
        prefix,
        features,
        s.query,
        s.history,
        point_valid=s.point_valid,
        num_samples=starts.shape[1],
        noise=starts,
    )


def assert_same(a, b, points, atol=2e-6):
    torch.testing.assert_close(
        a.control_points.transpose(1, 2)[points],
        b.control_points.transpose(1, 2)[points],
        atol=atol,
        rtol=1e-5,
    )
    torch.testing.assert_close(
        a.done_logits.transpose(1, 2)[points],
        b.done_logits.transpose(1, 2)[points],
        atol=atol,
        rtol=1e-5,
    )


def test_everything_that_should_matter_does(model, scene):
    base = forecast(model, scene).control_points
    noise = torch.flip(scene.noise, dims=(0,))
    changes = {
        "images": 1 - scene.images,
        "tokens": 49 - scene.tokens,
        "noise": noise,
        "query": scene.query * 0.5,
        "history": scene.history + 0.5,
    }
    for name, value in changes.items():
        other = forecast(model, scene, **{name: value}).control_points
        assert (other - base)[scene.point_valid[:, None]].abs().max() > 1e-4, name


def test_permuting_keypoints_permutes_traces(model, scene):
    order = torch.tensor([3, 0, 4, 2, 1])
    base = forecast(model, scene)
    permuted = forecast(
        model,
        scene,
        query=scene.query[:, order],
        point_valid=scene.point_valid[:, order],
        history=scene.history[:, order],
        noise=scene.noise[:, order],
    )
    base = replace(
        base,
        control_points=base.control_points[:, :, order],
        done_logits=base.done_logits[:, :, order],
    )
    assert_same(base, permuted, scene.point_valid[:, order])


@pytest.mark.parametrize("content", [7.0, float("nan")])
def test_padded_keypoints_are_irrelevant(model, scene, content):
    padding = ~scene.point_valid[..., None]
    changed = forecast(
        model,
        scene,
        query=torch.where(padding, content, scene.query),
        history=torch.where(padding[..., None], content, scene.history),
    )
    base, real = forecast(model, scene), scene.point_valid
    assert torch.equal(base.control_points[:, 0][real], changed.control_points[:, 0][real])


def test_padded_language_is_irrelevant(model, scene):
    tokens = torch.where(scene.mask, scene.tokens, 49)
    base, changed = forecast(model, scene), forecast(model, scene, tokens=tokens)
    assert torch.equal(base.control_points, changed.control_points)
    longer = forecast(
        model,
        scene,
        tokens=torch.cat([tokens, tokens], dim=1),
        mask=torch.cat([scene.mask, torch.zeros_like(scene.mask)], dim=1),
    )
    assert_same(base, longer, scene.point_valid)


def test_masked_depth_equals_no_depth(release_like, scene):
    model = release_like
    with torch.no_grad():
        absent = model.encode_prefix(scene.images, scene.tokens, scene.mask)
        masked = model.encode_prefix(
            scene.images,
            scene.tokens,
            scene.mask,
            scene.depth,
            depth_valid=torch.zeros(2, dtype=torch.bool),
        )
        seen = model.encode_prefix(scene.images, scene.tokens, scene.mask, scene.depth)
        features = model.point_features(scene.images, scene.query[..., :2], scene.point_valid)
    arguments = {"point_valid": scene.point_valid, "noise": scene.noise[:, None]}
    a, b, c = (model.sample(p, features, scene.query, **arguments) for p in (absent, masked, seen))
    assert_same(a, b, scene.point_valid)
    assert (a.control_points - c.control_points).abs().max() > 1e-4


def test_an_absent_depth_image_costs_no_forward_pass(release_like, scene):
    calls = []
    release_like.backbone.vision.register_forward_hook(lambda *_: calls.append(1))
    release_like.encode_prefix(scene.images, scene.tokens, scene.mask)
    assert len(calls) == 1
    release_like.encode_prefix(scene.images, scene.tokens, scene.mask, scene.depth)
    assert len(calls) == 3


def test_dropped_history_equals_no_history(model, scene):
    """Masking all history gives the numbers of leaving it out of the sequence."""
    with torch.no_grad():
        prefix = model.encode_prefix(scene.images, scene.tokens, scene.mask)
        features = model.point_features(scene.images, scene.query[..., :2], scene.point_valid)
    arguments = {"point_valid": scene.point_valid, "noise": scene.noise[:, None]}
    dropped = model.sample(
        prefix,
        features,
        scene.query,
        scene.history,
        history_valid=torch.zeros_like(scene.point_valid),
        **arguments,
    )
    assert_same(
        dropped, model.sample(prefix, features, scene.query, **arguments), scene.point_valid
    )


def test_query_depth_matters_only_where_the_model_embeds_it(model, scene):
    query = scene.query.clone()
    query[..., 2] += 0.4
    base, moved = forecast(model, scene), forecast(model, scene, query=query)
    same = torch.equal(base.control_points, moved.control_points)
    assert same != model.config.query_depth


def test_unknown_query_depth_is_told_from_any_depth(embedded_like, scene):
    query = scene.query.clone()
    query[..., 2] = float("nan")
    unknown = forecast(embedded_like, scene, query=query)
    assert torch.isfinite(unknown.control_points[:, 0][scene.point_valid]).all()
    query[..., 2] = 0.0
    assert_same(unknown, forecast(embedded_like, scene, query=query), scene.point_valid)


def test_batched_samples_equal_separate_samples(model, scene):
    noise = seeded_noise([5, 6], 3, 5, 10)
    together = forecast(model, scene, starts=noise)
    for s in range(3):
        alone = forecast(model, scene, starts=noise[:, s : s + 1])
        picked = replace(
            together,
            control_points=together.control_points[:, s : s + 1],
            done_logits=together.done_logits[:, s : s + 1],
        )
        assert_same(alone, picked, scene.point_valid)


def test_batched_observations_equal_separate_ones(model, scene):
    together = forecast(model, scene)
    for b in range(2):
        alone = forecast(
            model,
            scene,
            **{name: getattr(scene, name)[b : b + 1] for name in scene.__dataclass_fields__},
        )
        picked = replace(
            together,
            control_points=together.control_points[b : b + 1],
            done_logits=together.done_logits[b : b + 1],
        )
        assert_same(alone, picked, scene.point_valid[b : b + 1])


def test_training_path_equals_inference_path(model, scene):
    prefix = model.encode_prefix(scene.images, scene.tokens, scene.mask)
    features = model.point_features(scene.images, scene.query[..., :2], scene.point_valid)
    arguments = {"history": scene.history, "point_valid": scene.point_valid}
    trained = model.velocity(
        prefix, features, scene.query, scene.noise, torch.tensor([0.5, 0.5]), **arguments
    )
    assert trained.velocity.requires_grad
    with torch.no_grad():
        context = model.context(prefix, features, scene.query, **arguments)
        table = model.expert.modulate(torch.tensor([0.5]))
        inferred = model.flow(context, scene.noise[:, None], table)
    torch.testing.assert_close(trained.velocity, inferred.velocity, atol=1e-6, rtol=1e-5)


def test_image_prefix_and_instruction_equal_the_joint_pass(embedded_like, scene):
    model = embedded_like
    with torch.no_grad():
        image = model.encode_image(scene.images)
        joint = model.encode_prefix(image, scene.tokens, scene.mask)
        split = model.extend_with_language(
            model.encode_image_prefix(image), scene.tokens, scene.mask
        )
    assert torch.equal(joint.position_ids, split.position_ids)
    for a, b in zip(
        (*joint.keys, *joint.values, joint.hidden),
        (*split.keys, *split.values, split.hidden),
        strict=True,
    ):
        torch.testing.assert_close(a[joint.valid], b[joint.valid], atol=2e-6, rtol=1e-5)


def test_a_bidirectional_prefix_cannot_be_extended(release_like, scene):
    with pytest.raises(ShapeError, match="causal"):
        release_like.encode_image_prefix(scene.images)


def test_a_prefix_may_be_cached_in_half_precision(model, scene):
    prefix = model.encode_prefix(scene.images, scene.tokens, scene.mask).detach()
    features = model.point_features(scene.images, scene.query[..., :2])
    time = torch.tensor([0.3, 0.9])
    exact = model.velocity(prefix, features, scene.query, scene.noise, time).velocity
    half = prefix.to("cpu", torch.float16)
    close = model.velocity(half, features.half(), scene.query, scene.noise, time).velocity
    assert 0 < (exact - close).abs().max() < 2e-2


def test_a_model_in_bfloat16_integrates_in_fp32(model, scene):
    exact = forecast(model, scene)
    rounded = forecast(model.to(torch.bfloat16), scene)
    assert rounded.control_points.dtype == rounded.done_logits.dtype == torch.float32
    points = scene.point_valid[:, None]
    assert (exact.control_points - rounded.control_points)[points].abs().max() < 0.5


def test_expanding_a_prefix_shares_storage(model, scene):
    prefix = model.encode_prefix(scene.images[:1], scene.tokens[:1], scene.mask[:1])
    wide = prefix.expand(4)
    assert wide.batch == 4
    for a, b in zip((*prefix.keys, *prefix.values), (*wide.keys, *wide.values), strict=True):
        assert a.data_ptr() == b.data_ptr()
    with pytest.raises(ShapeError, match="only of 1"):
        wide.expand(2)


def test_euler_integration_follows_the_velocity(model, scene):
    """One step of the sampler is x - v / steps, and more steps change the result."""
    with torch.no_grad():
        prefix = model.encode_prefix(scene.images, scene.tokens, scene.mask)
        features = model.point_features(scene.images, scene.query[..., :2])
        noise = scene.noise[:, None]
        context = model.context(prefix, features, scene.query)
        flow = model.flow(context, noise, model.expert.modulate(euler_times(1)))
    one = model.sample(prefix, features, scene.query, num_steps=1, noise=noise)
    torch.testing.assert_close(one.control_points, noise - flow.velocity)
    two = model.sample(prefix, features, scene.query, num_steps=2, noise=noise)
    assert (one.control_points - two.control_points).abs().max() > 1e-3


def test_a_generator_makes_sampling_repeatable(model, scene):
    with torch.no_grad():
        prefix = model.encode_prefix(scene.images, scene.tokens, scene.mask)
        features = model.point_features(scene.images, scene.query[..., :2])
    runs = [
        model.sample(
            prefix,
            features,
            scene.query,
            num_samples=2,
            generator=torch.Generator().manual_seed(seed),
        ).control_points
        for seed in (3, 3, 4)
    ]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("argument", ["query", "features", "noise", "history", "point_valid"])
def test_wrong_shapes_are_named(model, scene, argument):
    prefix = model.encode_prefix(scene.images, scene.tokens, scene.mask)
    values = {
        "query": scene.query,
        "features": model.point_features(scene.images, scene.query[..., :2]),
        "noise": scene.noise[:, None],
        "history": scene.history,
        "point_valid": scene.point_valid,
    }
    values[argument] = values[argument][..., :-1]
    with pytest.raises(ShapeError, match=argument):
        model.sample(prefix, **values)


def test_an_observation_without_a_valid_token_is_refused(model, scene):
    nothing = torch.zeros(2, dtype=torch.bool)
    with pytest.raises(ShapeError, match="no valid prefix token"):
        model.encode_prefix(
            scene.images, scene.tokens, torch.zeros_like(scene.mask), image_valid=nothing
        )
