# SPDX-License-Identifier: Apache-2.0
"""What is published about a model comes from its files; what they do not say stays empty."""

import shutil

import numpy as np
import pytest
from mu0.msg import ModelInfo
from safetensors.numpy import save_file

from mu0_core.paths import ASSETS
from mu0_ros.backends import model_info

SHIPPED = [("mu0-embedded", ModelInfo.KIND_WORLD_MODEL), ("mu0-embedded-fr3", 1)]


@pytest.mark.parametrize(("model_id", "kind"), SHIPPED)
def test_a_shipped_model_says_what_it_is(model_id, kind):
    info = model_info(model_id, kind, "cpu", 32)
    assert info.version and info.license == "Apache-2.0" and len(info.sha256) == 64
    assert info.num_control_points or info.action_chunk_size


@pytest.mark.parametrize(
    ("header", "version", "licence"),
    [
        ({"commit": "0123abc", "step": "9", "license": "MIT"}, "0123abc", "MIT"),
        ({"step": "9"}, "step 9", ""),
        ({}, "", ""),
        (None, "", ""),
    ],
)
def test_the_header_of_a_checkpoint_counts(tmp_path, monkeypatch, header, version, licence):
    folder = tmp_path / "mine"
    shutil.copytree(ASSETS / "models" / "mu0-embedded-fr3", folder)
    save_file({"x": np.zeros(1, np.float32)}, folder / "model.safetensors", metadata=header)
    monkeypatch.setenv("MU0_MODEL_DIR", str(tmp_path))
    info = model_info("mine", ModelInfo.KIND_ACTION_EXPERT, "cpu", 0)
    assert (info.version, info.license) == (version, licence)


def test_a_fake_has_no_files_to_tell_of():
    info = model_info("fake-world-model", ModelInfo.KIND_WORLD_MODEL, "cpu", 32)
    assert (info.version, info.license, info.sha256) == ("", "", "")
