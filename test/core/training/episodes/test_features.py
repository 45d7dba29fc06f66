# SPDX-License-Identifier: Apache-2.0
"""Kept features stand in for images: nearly the same loss, no second computation, no mix-up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mu0_core.data.augment import AugmentSettings
from mu0_core.data.dataset import TraceDataset
from mu0_core.data.index import Opening, index_episodes
from mu0_core.data.sample import SampleSettings
from mu0_core.data.sampling import SamplingSettings
from mu0_core.errors import ConfigError, DataError
from mu0_core.training.episodes.architecture import draw_up
from mu0_core.training.episodes.building import build
from mu0_core.training.episodes.features import (
    FeatureFolder,
    backbone_key,
    check_cacheable,
    fill,
)
from mu0_core.training.episodes.module import TraceTraining
from mu0_core.training.episodes.settings import DataSettings
from mu0_core.training.episodes.sources import find_episodes
from mu0_core.training.episodes.stream import Collator, SampleStream

SCALE = (0.5, 0.5, 0.1)
SAMPLE = SampleSettings(SCALE, (-1.0, 1.0), 32, SamplingSettings(1, 5))
PLAIN = AugmentSettings(0, 0.01)


@pytest.fixture
def model(settings):
    model = build(
        draw_up(settings), SCALE, settings.model, settings.fine_tune, history=True, depth=True,
        seed=0,
    ).model  # fmt: skip
    torch.manual_seed(1)
    with torch.no_grad():  # away from the zeros that would hide the image
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model


@pytest.fixture
def index(episodes):
    return index_episodes(find_episodes(str(episodes)), Opening(), SAMPLE.sampling)


@pytest.fixture
def folder(model, index, tmp_path):
    folder = FeatureFolder(tmp_path / "features", backbone_key(model))
    fill(folder, [index], Opening(), model)
    return folder


def batch(settings, index, features=None):
    dataset = TraceDataset((), SAMPLE, augment=PLAIN, index=index, features=features)
    stream = SampleStream(dataset, settings.losses, 0)
    return Collator(draw_up(settings).prompts, True)([stream[g] for g in range(5)])


def test_the_loss_is_that_of_the_images_up_to_rounding(settings, model, index, folder):
    module = TraceTraining(model)
    plain, kept = batch(settings, index), batch(settings, index, folder)
    assert kept.seen.images is None and plain.seen.image_tokens is None
    torch.testing.assert_close(kept.seen.depth_images, plain.seen.depth_images)
    one, two = module(plain)["total"], module(kept)["total"]
    torch.testing.assert_close(one, two, rtol=2e-3, atol=0)
    other = replace(kept, seen=replace(kept.seen, image_tokens=kept.seen.image_tokens.flip(0)))
    assert abs(module(other)["total"] - one) > 2 * abs(two - one)  # and images do matter


def test_every_frame_is_computed_once(model, index, folder, monkeypatch):
    files = {p: p.stat().st_mtime_ns for p in folder._folder.rglob("*.npz")}
    assert len(files) == len(index.items) == 24
    next(iter(files)).unlink()
    encoded = []
    encode = model.encode_image
    monkeypatch.setattr(model, "encode_image", lambda x: encoded.append(len(x)) or encode(x))
    fill(folder, [index], Opening(), model)
    assert encoded == [1]


def test_processes_share_the_work(model, index, tmp_path):
    folder = FeatureFolder(tmp_path, "key")
    done = []
    for rank in range(2):
        fill(folder, [index], Opening(), model, rank=rank, world=2,
             on_progress=lambda k, n: done.append((k, n)))  # fmt: skip
    assert done == [(1, 3), (2, 3), (3, 3)] * 2
    assert len(list(tmp_path.rglob("*.npz"))) == 24


def test_other_weights_of_the_tower_have_another_folder(settings, model):
    key = backbone_key(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_" in name or name.startswith(("expert.", "backbone.language.")):
                parameter.add_(1.0)
    assert backbone_key(model) == key  # the tower is the same
    with torch.no_grad():
        model.backbone.connector.proj.weight[0, 0] += 1e-3
    assert backbone_key(model) != key


def test_missing_and_damaged_files_are_named(index, folder):
    episode = Opening().open(index.items[0][0])
    path = folder.path(episode.images[0])
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=f"cannot read features .*{path.name}"):
        folder(episode.images[0])
    path.unlink()
    with pytest.raises(DataError, match="cannot read features"):
        folder(episode.images[0])
    assert folder(episode.images[1]).tokens.dtype == np.float16


def test_features_of_changing_images_are_refused(model):
    with pytest.raises(ConfigError, match=r"needs data.augment.jitter: 0, it is 0.3"):
        check_cacheable(DataSettings(episodes=("x",)), model)
    plain = DataSettings(episodes=("x",), augment=PLAIN)
    check_cacheable(plain, model)
    model.config = replace(model.config, freeze_vision_encoder=False, train_expert_only=False)
    with pytest.raises(ConfigError, match="frozen vision tower"):
        check_cacheable(plain, model)


def test_a_training_reads_them(settings, changed, run, tmp_path, monkeypatch):
    data = {"augment": PLAIN, "feature_folder": str(tmp_path / "features")}
    first, _ = run(changed(settings, data=data), tmp_path / "one")
    assert len(list((tmp_path / "features").rglob("*.npz"))) == 21  # 20 slots, one held-out slot
    monkeypatch.setattr("mu0_core.training.episodes.features._encode", None)
    second, _ = run(changed(settings, data=data), tmp_path / "two")
    assert first.metrics == second.metrics and first.running == second.running
