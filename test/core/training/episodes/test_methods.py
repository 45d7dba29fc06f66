# SPDX-License-Identifier: Apache-2.0
"""Every method is trained, stored and continued like μ0, on the same samples."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mu0_core.errors import ConfigError
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.loading import load_world_model
from mu0_core.training.episodes import architecture
from mu0_core.training.episodes.architecture import draw_up
from mu0_core.training.episodes.features import FeatureFolder, backbone_key, fill
from mu0_core.training.episodes.methods import METHODS, with_method
from mu0_core.training.episodes.module import TraceTraining
from mu0_core.training.episodes.settings import ModelSettings

OTHERS = [method for method in METHODS if method != "mu0"]


@pytest.mark.parametrize("method", OTHERS)
def test_a_method_learns_and_leaves_a_checkpoint_of_its_own(
    method, settings, changed, run, tmp_path
):
    settings = changed(settings, model={"method": method}, run={"steps": 40})
    progress, watcher = run(settings, tmp_path)
    assert watcher.steps[-1][1] < 0.95 * watcher.steps[0][1]
    config = load_world_model(tmp_path, require_manifest=True).config
    wanted = draw_up(settings).config
    assert (config.trace_head, config.trace_knots) == (wanted.trace_head, wanted.trace_knots)
    assert progress.metrics["ade_uvz"] > 0


def test_methods_see_the_same_samples(settings, changed, run, tmp_path):
    usable = set()
    for method in METHODS:
        run(changed(settings, model={"method": method}, run={"steps": 1}), tmp_path / method)
        card = (tmp_path / method / "MODEL_CARD.md").read_text()
        usable |= {line for line in card.splitlines() if "usable slots" in line}
    assert len(usable) == 1


def test_models_to_compare_with_have_no_head_or_loss_of_mu0():
    config = WorldModelConfig(trace_done_head=True, rigidity_loss_weight=5.0)
    for method in ("regression", "grid", "tokens"):
        changed = with_method(config, method)
        assert not changed.trace_done_head and changed.rigidity_loss_weight == 0
    assert with_method(config, "mu0") == config
    assert with_method(config, "waypoint-flow").rigidity_loss_weight == 5.0
    assert with_method(config, "grid").num_steps == 100


def test_unknown_methods_are_refused():
    with pytest.raises(ConfigError, match="method='atm': expected one of"):
        ModelSettings(method="atm")


def test_point_features_can_be_left_out(settings, changed, run, tmp_path):
    run(changed(settings, model={"point_map": False}, run={"steps": 1}), tmp_path)
    model = load_world_model(tmp_path)
    assert model.feature_width is None and model.dino is None


@pytest.fixture
def causal(settings, changed, monkeypatch):
    """Return settings of a model whose sentence comes behind the image."""
    tiny = replace(
        architecture.TINY_WORLD_MODEL, prefix_attention="causal", use_depth=False, use_dino=False
    )
    monkeypatch.setattr(architecture, "TINY_WORLD_MODEL", tiny)
    augment = replace(settings.data.augment, jitter=0.0)
    return changed(settings, data={"augment": augment})


def test_kept_keys_and_values_stand_in_for_the_image(
    causal, changed, run, tmp_path, monkeypatch, tensors
):
    plain, _ = run(causal, tmp_path / "plain")
    kept = changed(causal, data={"feature_folder": str(tmp_path / "features")})
    first, _ = run(kept, tmp_path / "first")
    assert first.running["total"] == pytest.approx(plain.running["total"], rel=2e-3)
    encoded = []
    whole = TraceTraining._encode_image
    monkeypatch.setattr(
        TraceTraining,
        "_encode_image",
        lambda self, seen: encoded.append(seen) or whole(self, seen),
    )
    run(kept, tmp_path / "second")
    assert encoded and all(seen.images is None for seen in encoded)
    assert all(seen.key_values is not None for seen in encoded)
    one, two = tensors(tmp_path / "first"), tensors(tmp_path / "second")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_another_language_model_has_another_folder(causal):
    from mu0_core.training.episodes.building import build

    blueprint = draw_up(causal)
    model = build(
        blueprint, (1.0, 1.0, 1.0), causal.model, causal.fine_tune, history=True, depth=False,
        seed=0,
    ).model  # fmt: skip
    key = backbone_key(model)
    with torch.no_grad():
        model.backbone.language.layers[0].mlp.gate_proj.weight.add_(0.1)
    assert backbone_key(model) != key


def test_equal_images_are_kept_once(causal, episodes, tmp_path, monkeypatch):
    from mu0_core.data.episode import EpisodeReader
    from mu0_core.data.index import Opening, index_episodes
    from mu0_core.data.sampling import SamplingSettings
    from mu0_core.training.episodes.building import build
    from mu0_core.training.episodes.sources import find_episodes

    model = build(
        draw_up(causal), (1.0, 1.0, 1.0), causal.model, causal.fine_tune, history=True,
        depth=False, seed=0,
    ).model  # fmt: skip
    opening = Opening(with_depth=False)
    index = index_episodes(find_episodes(str(episodes)), opening, SamplingSettings())
    folder = FeatureFolder(tmp_path, backbone_key(model))
    fill(folder, [index], opening, model)
    count = len(list(tmp_path.rglob("*.npz")))
    image = EpisodeReader(index.items[0][0]).images[0]
    assert folder.path(image) == folder.path(image.copy()) != folder.path(255 - image)
    fill(folder, [index, index], opening, model)
    assert len(list(tmp_path.rglob("*.npz"))) == count == 24


def test_a_flow_that_says_its_curve_learns_faster(settings, changed, run, tmp_path):
    errors = {}
    for output in ("velocity", "curve"):
        changed_settings = changed(settings, model={"output": output}, run={"steps": 150})
        progress, _ = run(changed_settings, tmp_path / output)
        errors[output] = progress.metrics["ade_uvz"]
        assert load_world_model(tmp_path / output).config.trace_output == output
    assert errors["curve"] < errors["velocity"]
