# SPDX-License-Identifier: Apache-2.0
"""Models to compare with: what each may see, and that its samples are reproducible."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mu0_core.model.build import build_world_model
from mu0_core.model.heads.grid import GridFlow
from mu0_core.model.heads.regression import WaypointRegression
from mu0_core.model.heads.tokens import CoordinateTokens
from mu0_core.model.loading import load_world_model, save_world_model
from mu0_core.model.noise import seeded_noise
from mu0_core.model.render import render_traces, trace_basis
from mu0_core.model.world_model import WorldModel
from mu0_core.training.episodes.methods import METHODS, with_method
from test.core.model.conftest import EMBEDDED_LIKE, EMBEDDED_LIKE_SIZES

CLASSES = {
    "mu0": WorldModel,
    "waypoint-flow": WorldModel,
    "regression": WaypointRegression,
    "grid": GridFlow,
    "tokens": CoordinateTokens,
}


def build(method, **changes):
    torch.manual_seed(3)
    config = with_method(replace(EMBEDDED_LIKE, future_len=16), method)
    model = build_world_model(replace(config, num_steps=3, **changes), EMBEDDED_LIKE_SIZES).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.08 * torch.randn_like(parameter))
    return model


@pytest.fixture
def forecast(scene):
    def run(model, query=scene.query, samples=3, seeds=(1, 2), **how):
        with torch.no_grad():
            image = model.encode_image(scene.images)
            prefix = model.encode_prefix(image, scene.tokens, scene.mask)
            features = model.point_features(image, query[..., :2], scene.point_valid)
            noise = seeded_noise(seeds, samples, query.shape[1], model.config.trace_bspline_n_ctrl)
            return model.sample(
                prefix, features, query, point_valid=scene.point_valid, num_samples=samples,
                noise=noise, **how,
            ).control_points  # fmt: skip

    return run


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_traces_of_the_same_shape(method, forecast, scene):
    model = build(method)
    assert type(model) is CLASSES[method]
    found = forecast(model)
    traces = render_traces(found, trace_basis(model.config))
    assert traces.shape == (2, 3, scene.query.shape[1], 16, 3)
    assert torch.isfinite(traces).all()


@pytest.mark.parametrize("method", METHODS)
def test_checkpoints_remember_the_method(method, forecast, tmp_path):
    model = build(method, delta_scale=(0.5, 0.5, 0.1))
    save_world_model(model, tmp_path)
    again = load_world_model(tmp_path)
    assert type(again) is type(model)
    torch.testing.assert_close(forecast(again), forecast(model))


@pytest.mark.parametrize("method", METHODS)
def test_more_samples_change_none_of_the_first(method, forecast):
    model = build(method)
    torch.testing.assert_close(
        forecast(model, samples=2), forecast(model, samples=4)[:, :2], rtol=1e-4, atol=1e-5
    )


def test_a_regression_has_one_answer(forecast):
    found = forecast(build("regression"))
    torch.testing.assert_close(found[:, 0], found[:, 2])
    torch.testing.assert_close(found, forecast(build("regression"), seeds=(5, 6)))


@pytest.mark.parametrize("method", ["mu0", "grid", "tokens"])
def test_samples_differ(method, forecast):
    found = forecast(build(method))
    assert (found[:, 1] - found[:, 2]).abs().max() > 1e-3


def test_points_of_a_grid_cell_are_one_to_the_model(forecast, scene):
    model = build("grid")
    centres = model.centres(scene.query)
    cells = (centres[..., :2] + 1) / 2 * 20
    torch.testing.assert_close(cells % 1, torch.full_like(cells, 0.5), rtol=0, atol=1e-4)
    assert ((centres - scene.query)[..., :2].abs() <= 1 / 20 + 1e-6).all()
    torch.testing.assert_close(centres[..., 2], scene.query[..., 2])
    torch.testing.assert_close(forecast(model, centres), forecast(model, scene.query))
    edge = torch.tensor([[1.0, -1.0, 0.5]])
    torch.testing.assert_close(model.centres(edge)[0, :2], torch.tensor([0.95, -0.95]))


def test_words_stand_for_the_nearest_value():
    model = build("tokens")
    values = torch.linspace(-2, 2, 77)
    there_and_back = model.values(model.words(values))
    assert (there_and_back - values).abs().max() <= 2 / 255 + 1e-6
    torch.testing.assert_close(model.values(model.words(torch.tensor([-9.0, 9.0]))),
                               torch.tensor([-2.0, 2.0]))  # fmt: skip


def logits(model, scene, waypoints):
    with torch.no_grad():
        image = model.encode_image(scene.images)
        prefix = model.encode_prefix(image, scene.tokens, scene.mask)
        features = model.point_features(image, scene.query[..., :2], scene.point_valid)
        context = model.context(
            prefix, features, scene.query, point_valid=scene.point_valid,
            num_samples=waypoints.shape[1],
        )  # fmt: skip
        return model.logits(context, waypoints)


@pytest.mark.parametrize("samples", [1, 2])
def test_a_waypoint_sees_only_those_before_it(samples, scene):
    model = build("tokens")
    torch.manual_seed(0)
    shape = (2, samples, scene.query.shape[1], 8, 3)
    one = torch.randn(shape)
    two = one.clone()
    two[..., 4:, :] += 1.0
    a, b = logits(model, scene, one), logits(model, scene, two)
    torch.testing.assert_close(a[..., :5, :, :], b[..., :5, :, :])  # the fifth sees four
    assert (a[..., 5:, :, :] - b[..., 5:, :, :]).abs().max() > 1e-4


def test_the_first_path_is_the_likeliest_and_its_own_condition(forecast, scene):
    model = build("tokens")
    path = forecast(model, samples=1)
    words = logits(model, scene, path).argmax(-1)
    torch.testing.assert_close(model.values(words), path)


def test_a_curve_is_where_one_euler_step_ends(forecast, scene):
    model = build("mu0", trace_output="curve")
    with torch.no_grad():
        image = model.encode_image(scene.images)
        prefix = model.encode_prefix(image, scene.tokens, scene.mask)
        features = model.point_features(image, scene.query[..., :2], scene.point_valid)
        context = model.context(prefix, features, scene.query, point_valid=scene.point_valid)
        noise = seeded_noise((1, 2), 1, scene.query.shape[1], 10)
        one = torch.ones(1)
        told = model.flow(context, noise, model.expert.modulate(one)).velocity
    torch.testing.assert_close(forecast(model, samples=1, num_steps=1), told)
    half = torch.full((1,), 0.5)
    with torch.no_grad():
        table = model.expert.modulate(half)
        curve = model.flow(context, noise, table).velocity
        velocity = model.flow(context, noise, table, half).velocity
    torch.testing.assert_close(noise - 0.5 * velocity, curve)


def test_a_velocity_is_what_the_expert_says(scene):
    model = build("mu0")
    with torch.no_grad():
        image = model.encode_image(scene.images)
        prefix = model.encode_prefix(image, scene.tokens, scene.mask)
        features = model.point_features(image, scene.query[..., :2], scene.point_valid)
        context = model.context(prefix, features, scene.query, point_valid=scene.point_valid)
        noise = seeded_noise((1, 2), 1, scene.query.shape[1], 10)
        half = torch.full((1,), 0.5)
        table = model.expert.modulate(half)
        torch.testing.assert_close(
            model.flow(context, noise, table).velocity,
            model.flow(context, noise, table, half).velocity,
        )
