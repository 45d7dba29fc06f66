# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue about weights and names of models.

A defect is found before anything is loaded: the model that was there stays as it was.
"""

import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mu0_core.errors import ModelError, ModelIntegrityError, UnknownModelError
from mu0_core.inference.registry import model_folder
from mu0_core.model.checkpoint import load_checkpoint, save_checkpoint

NAMES = {"weight": "weight", "bias": "bias"}


@pytest.fixture
def folder(tmp_path):
    """A good checkpoint with its sums."""
    tensors = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.arange(3.0)}
    save_checkpoint(tmp_path, tensors, {"config.json": {"x": 1}})
    return tmp_path


def edited(folder, change) -> None:
    """Change the stored tensors and make the sums right again: only the content is at fault."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    (folder / "sha256sums.txt").unlink()


def assert_refused_and_old_model_kept(folder, words: str, require_manifest: bool = False) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ModelError, match=words) as caught:
        load_checkpoint(model, NAMES, folder, require_manifest=require_manifest)
    assert caught.value.code.startswith("MODEL_")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_row_50_the_good_checkpoint_loads(folder):
    model = nn.Linear(4, 3)
    load_checkpoint(model, NAMES, folder, require_manifest=True)
    assert torch.equal(model.bias, torch.arange(3.0))


@pytest.mark.parametrize("kept", [0, 7, 8, 40, -1])
def test_row_50_truncated(folder, kept):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    assert_refused_and_old_model_kept(folder, "sha256")
    (folder / "sha256sums.txt").unlink()
    assert_refused_and_old_model_kept(folder, "safetensors")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_row_50_one_flipped_bit(folder, share):
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[int(share * len(content))] ^= 1
    file.write_bytes(content)
    assert_refused_and_old_model_kept(folder, "sha256")


def test_row_50_wrong_or_absent_sum(folder):
    manifest = folder / "sha256sums.txt"
    manifest.write_text(f"{'0' * 64}  model.safetensors\n")
    assert_refused_and_old_model_kept(folder, "promises 0000")
    manifest.write_text("")
    assert_refused_and_old_model_kept(folder, "does not list")
    manifest.unlink()
    assert_refused_and_old_model_kept(folder, "cannot verify", require_manifest=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("bias"), "1 missing: bias"),
        (lambda t: t.update(extra=torch.ones(1)), "1 unexpected: extra"),
        (lambda t: t.update(bias=torch.ones(4)), r"of wrong shape: bias \[4\], expected \[3\]"),
        (lambda t: t["weight"].fill_(torch.nan), "non-finite: weight"),
        (lambda t: t.update(bias=torch.ones(3, dtype=torch.int64)), "not floating point: bias"),
    ],
    ids=["missing", "extra", "shape", "NaN", "integers"],
)
def test_row_50_tensors_that_do_not_fit(folder, change, words):
    edited(folder, change)
    assert_refused_and_old_model_kept(folder, words)


@pytest.mark.parametrize("length", [100_000_001, 2**31, 2**63, 2**64 - 1])
def test_row_50_header_that_claims_too_much(folder, length):
    header = json.dumps({"weight": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}})
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + header.encode())
    (folder / "sha256sums.txt").unlink()
    assert_refused_and_old_model_kept(folder, "at most 100000000")


class Canary:
    """Leaves a file behind if anybody unpickles it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "pytorch_model.bin"])
def test_row_51_a_pickle_under_any_name_is_not_executed(tmp_path, name):
    sung = tmp_path / "sung"
    trap = tmp_path / "weights"
    trap.mkdir()
    (trap / name).write_bytes(pickle.dumps(Canary(str(sung))))
    assert_refused_and_old_model_kept(trap, "safetensors")
    assert_refused_and_old_model_kept(trap / name, "safetensors|pickle")
    assert not sung.exists(), "the pickle was executed"
    pickle.loads((trap / name).read_bytes()).close()
    assert sung.exists(), "the trap must work, else nothing was tested"


@pytest.mark.parametrize(
    "model_id",
    [
        "../../etc/passwd",
        "..",
        ".",
        "",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "http://host/model",
        "file:///etc/passwd",
        "a\x00b",
        "a\n",
        "A",
        "-a",
        ".hidden",
        "ä",
        "x" * 65,
        "~",
        "$HOME",
        "a b",
        None,
        7,
        b"alpha",
    ],
    ids=repr,
)
def test_row_52_a_model_id_is_never_a_path(tmp_path, monkeypatch, model_id):
    (tmp_path / "alpha").mkdir()
    (tmp_path / "alpha" / "config.json").write_text("{}")
    monkeypatch.setenv("MU0_MODEL_DIR", str(tmp_path))
    with pytest.raises(UnknownModelError, match="known: alpha") as caught:
        model_folder(model_id)
    assert caught.value.code == "UNKNOWN_MODEL" and len(str(caught.value)) < 300
    assert model_folder("alpha") == (tmp_path / "alpha").resolve()


def test_row_52_a_link_out_of_the_registry(tmp_path, monkeypatch):
    root, outside = tmp_path / "models", tmp_path / "outside"
    for path in (root, outside):
        path.mkdir()
    (outside / "config.json").write_text("{}")
    (root / "leak").symlink_to(outside, target_is_directory=True)
    monkeypatch.setenv("MU0_MODEL_DIR", str(root))
    with pytest.raises(UnknownModelError, match="leak"):
        model_folder("leak")


def test_row_50_integrity_has_its_own_code(folder):
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelIntegrityError) as caught:
        load_checkpoint(nn.Linear(4, 3), NAMES, folder)
    assert caught.value.code == "MODEL_INTEGRITY_FAILED"
