# SPDX-License-Identifier: Apache-2.0
"""Foreign repositories are found where they are said to be, and do not get in each other's way."""

import sys

import pytest

from mu0_core.errors import ModelError
from mu0_core.trace_extract.backends.checkpoint_file import load_strictly, read_checkpoint
from mu0_core.trace_extract.backends.foreign_code import ForeignCode


def code(variable="", top_level=()):
    return ForeignCode("Net", "host/net", "run: get net", "NC-1", variable, top_level)


def clone(folder, value):
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "__init__.py").write_text("from models.deep import VALUE\n")
    (folder / "models" / "deep.py").write_text(f"VALUE = {value}\n")
    (folder / "models" / "late.py").write_text(f"VALUE = {value} + 1\n")
    return folder


def test_missing_package_names_repository_command_and_licence():
    with pytest.raises(ModelError, match="Net needs no_such_net.core.*host/net.*get net.*NC-1"):
        code().attribute("no_such_net.core", "Net")


def test_missing_attribute_is_the_same_error():
    with pytest.raises(ModelError, match="Net needs json.Nothing"):
        code().attribute("json", "Nothing")


@pytest.mark.parametrize("value", ["", "/no/such/folder"])
def test_a_folder_that_is_not_set_names_the_variable(monkeypatch, value):
    monkeypatch.setenv("NET_FOLDER", value)
    with pytest.raises(ModelError, match=f"clone of host/net.*NET_FOLDER.*now '{value}'.*NC-1"):
        with code("NET_FOLDER", ("models",)).active():
            pass


def test_two_clones_with_the_same_module_names_live_side_by_side(tmp_path, monkeypatch):
    first, second = code("FIRST", ("models",)), code("SECOND", ("models",))
    monkeypatch.setenv("FIRST", str(clone(tmp_path / "first", 10)))
    monkeypatch.setenv("SECOND", str(clone(tmp_path / "second", 20)))
    with first.active():
        assert first.attribute("models", "VALUE") == 10
    with second.active():
        assert second.attribute("models", "VALUE") == 20
    with first.active():  # what it imports later is its own, too
        assert first.attribute("models", "VALUE") == 10
        assert first.attribute("models.late", "VALUE") == 11
    assert "models" not in sys.modules


def test_modules_of_others_come_back_even_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRST", str(clone(tmp_path / "first", 10)))
    other = type(sys)("models")
    monkeypatch.setitem(sys.modules, "models", other)
    path = list(sys.path)
    with pytest.raises(ModelError, match="models.gone"):
        with code("FIRST", ("models",)).active():
            code().attribute("models.gone", "X")
    assert sys.modules["models"] is other and sys.path == path


def test_weights_that_are_not_there_name_address_and_licence(tmp_path):
    with pytest.raises(ModelError, match=r"weights .*gone.pth cannot be read.*http://x/y.*NC-1"):
        read_checkpoint(code(), str(tmp_path / "gone.pth"), "http://x/y")


def test_a_file_that_would_execute_code_is_refused(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ModelError, match="holds objects other than weights"):
        read_checkpoint(code(), str(path), "http://x/y")


def test_weights_of_another_model_are_refused():
    import torch

    with pytest.raises(ModelError, match="Net: these weights are of another model.*bias"):
        load_strictly(code(), torch.nn.Linear(2, 2), {"weight": torch.zeros(2, 2)})
