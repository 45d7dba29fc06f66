# SPDX-License-Identifier: Apache-2.0
"""Checkpoints load exactly or not at all, and say what is wrong."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from mu0_core.errors import ModelError, ModelIntegrityError
from mu0_core.model.checkpoint import load_checkpoint, save_checkpoint
from mu0_core.model.layout import (
    CONNECTOR,
    PRETRAINED_LANGUAGE,
    PRETRAINED_TOWER,
    stored_names,
    stored_state_dict,
)
from mu0_core.model.loading import load_world_model, save_world_model
from mu0_core.model.tensor_file import MANIFEST, TensorFile
from mu0_core.model.world_model import WorldModel


@pytest.fixture
def saved(tmp_path, model):
    """(model, folder) of a complete checkpoint."""
    save_world_model(model, tmp_path, metadata={"seed": "0"})
    return model, tmp_path


def edit(folder, change, *, keep_manifest=False):
    """Apply ``change`` to the stored tensors in place."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    if not keep_manifest:
        (folder / MANIFEST).unlink()


def test_round_trip(saved):
    model, folder = saved
    loaded = load_world_model(folder, require_manifest=True)
    assert loaded.config == model.config and loaded.sizes == model.sizes
    assert not loaded.training
    original = model.state_dict()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, original[name]), name
    assert sorted(p.name for p in folder.iterdir()) == [
        "backbone.json",
        "config.json",
        "model.safetensors",
        MANIFEST,
    ]


def test_stored_names_are_unique(model):
    names = stored_names(model)
    assert len(set(names.values())) == len(names) == len(model.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_dtype_is_cast(saved, dtype):
    model, folder = saved
    edit(folder, lambda t: t.update({k: v.to(dtype) for k, v in t.items()}))
    loaded = load_world_model(folder)
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.state_dict()[name].to(dtype).float())


def remove(tensors):
    del tensors["model.trace_seg_embedding.weight"]


def add(tensors):
    tensors["model.surplus"] = torch.zeros(1)


def reshape(tensors):
    tensors["model.trace_seg_embedding.weight"] = torch.zeros(2, 1)


def poison(tensors):
    tensors["model.trace_seg_embedding.weight"][0, 0] = torch.inf


def make_integer(tensors):
    name = "model.trace_seg_embedding.weight"
    tensors[name] = tensors[name].to(torch.int32)


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        (remove, "1 missing: model.trace_seg_embedding.weight"),
        (add, "1 unexpected: model.surplus"),
        (reshape, "of wrong shape: model.trace_seg_embedding.weight"),
        (poison, "non-finite: model.trace_seg_embedding.weight"),
        (make_integer, "not floating point: model.trace_seg_embedding.weight"),
    ],
)
def test_defects_are_listed_and_nothing_is_loaded(release_like, tmp_path, defect, message):
    save_world_model(release_like, tmp_path)
    edit(tmp_path, defect)
    fresh = WorldModel(release_like.config, release_like.sizes)
    before = {k: v.clone() for k, v in fresh.state_dict().items()}
    with pytest.raises(ModelIntegrityError, match=message):
        load_checkpoint(fresh, stored_names(fresh), tmp_path)
    assert all(torch.equal(v, before[k]) for k, v in fresh.state_dict().items())


def test_a_changed_file_fails_its_hash(release_like, tmp_path):
    save_world_model(release_like, tmp_path)
    edit(tmp_path, lambda t: t["model.trace_seg_embedding.weight"].add_(1), keep_manifest=True)
    with pytest.raises(ModelIntegrityError, match="sha256"):
        load_world_model(tmp_path)


def test_a_changed_config_fails_its_hash(release_like, tmp_path):
    save_world_model(release_like, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_steps": 1}))
    with pytest.raises(ModelIntegrityError, match=r"config\.json has sha256"):
        load_world_model(tmp_path)


def test_a_missing_manifest_is_an_error_only_when_asked_for(release_like, tmp_path):
    save_world_model(release_like, tmp_path)
    (tmp_path / MANIFEST).unlink()
    load_world_model(tmp_path)
    with pytest.raises(ModelIntegrityError, match="cannot verify"):
        load_world_model(tmp_path, require_manifest=True)


def header(length: int, body: bytes = b"") -> bytes:
    return struct.pack("<Q", length) + body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        header(2**60),
        header(200_000_000, b"x" * 64),
        header(4, b"{{{{"),
        header(2, b"[]"),
        header(40, b'{"a":{"dtype":"F32","shape":[9]}}'.ljust(40)),
        header(80, b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'.ljust(80)),
    ],
)
def test_files_that_are_not_safetensors_are_refused(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelIntegrityError, match=r"model\.safetensors"):
        TensorFile(path)


def test_a_truncated_file_is_refused(release_like, tmp_path):
    file = save_world_model(release_like, tmp_path)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelIntegrityError, match="damaged"):
        TensorFile(file)


def test_pickles_are_refused_unread(tmp_path, release_like):
    trap = tmp_path / "checkpoint.pt"
    torch.save({"w": torch.zeros(1)}, trap)
    with pytest.raises(ModelError, match="pickle"):
        load_checkpoint(release_like, stored_names(release_like), trap)
    with pytest.raises(ModelError, match=r"pickles are not read.*checkpoint\.pt"):
        load_checkpoint(release_like, stored_names(release_like), tmp_path)
    with pytest.raises(ModelError, match="cannot read"):
        load_checkpoint(release_like, stored_names(release_like), tmp_path / "no.safetensors")


def test_non_finite_tensors_are_not_saved(tmp_path):
    with pytest.raises(ModelIntegrityError, match="refusing"):
        save_checkpoint(tmp_path / "new", {"w": torch.tensor([torch.nan])}, {})
    assert not (tmp_path / "new").exists()


def test_frozen_parts_come_from_elsewhere(embedded_like, tmp_path):
    frozen = (PRETRAINED_TOWER, PRETRAINED_LANGUAGE, CONNECTOR)
    save_world_model(embedded_like, tmp_path, frozen_prefixes=frozen)
    state = stored_state_dict(embedded_like)
    external = {k: v for k, v in state.items() if k.startswith(frozen)}
    stored = TensorFile(tmp_path / "model.safetensors")
    assert external and len(stored) == len(state) - len(external)
    loaded = load_world_model(tmp_path, external=external)
    assert all(
        torch.equal(v, embedded_like.state_dict()[k]) for k, v in loaded.state_dict().items()
    )
    with pytest.raises(ModelIntegrityError, match="missing"):
        load_world_model(tmp_path)
    doubled = {**external, "model.trace_seg_embedding.weight": torch.zeros(2, 24)}
    with pytest.raises(ModelIntegrityError, match="in two sources: model.trace_seg"):
        load_world_model(tmp_path, external=doubled)
    with pytest.raises(ModelIntegrityError, match="frozen prefix"):
        save_world_model(embedded_like, tmp_path, frozen_prefixes=("misspelt.",))


def test_a_model_on_the_meta_device_is_filled(release_like, tmp_path):
    save_world_model(release_like, tmp_path)
    with torch.device("meta"):
        model = WorldModel(release_like.config, release_like.sizes)
    load_checkpoint(model, stored_names(model), tmp_path)
    assert all(torch.equal(v, release_like.state_dict()[k]) for k, v in model.state_dict().items())
