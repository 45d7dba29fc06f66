# SPDX-License-Identifier: Apache-2.0
"""A model id is a name in one folder and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import UnknownModelError
from mu0_core.inference.registry import model_folder, model_ids


@pytest.fixture
def root(tmp_path, monkeypatch):
    root = tmp_path / "models"
    for name in ("alpha", "beta-1.0"):
        (root / name).mkdir(parents=True)
        (root / name / "config.json").write_text("{}")
    (root / "unfinished").mkdir()
    monkeypatch.setenv("MU0_MODEL_DIR", str(root))
    return root


def test_ids_are_the_folders_with_a_configuration(root):
    assert model_ids() == ("alpha", "beta-1.0")
    assert model_folder("beta-1.0") == (root / "beta-1.0").resolve()


@pytest.mark.parametrize("name", ["gamma", "unfinished"])
def test_an_unknown_id_lists_what_is_there(root, name):
    with pytest.raises(UnknownModelError, match=r"alpha, beta-1\.0"):
        model_folder(name)


def test_a_link_out_of_the_folder_is_neither_loaded_nor_listed(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "config.json").write_text("{}")
    (root / "leak").symlink_to(outside)
    with pytest.raises(UnknownModelError, match="leak"):
        model_folder("leak")
    assert "leak" not in model_ids()


@given(st.text(max_size=80))
def test_whatever_the_name_the_folder_lies_in_the_registry_or_is_refused(name):
    try:
        folder = model_folder(name)
    except UnknownModelError:
        return
    assert folder.name == name and name in model_ids()


def test_without_a_folder_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("MU0_MODEL_DIR", str(tmp_path / "absent"))
    assert model_ids() == ()
    with pytest.raises(UnknownModelError, match="none"):
        model_folder("alpha")
