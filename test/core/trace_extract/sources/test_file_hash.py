# SPDX-License-Identifier: Apache-2.0
"""Sums follow the bytes and names of files and nothing else."""

from __future__ import annotations

import hashlib

import pytest

from mu0_core.errors import SourceError
from mu0_core.trace_extract.sources.file_hash import hash_files


def test_the_sum_of_one_file_is_the_plain_one(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 1000)
    assert hash_files(tmp_path, [path]) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_sum_of_many_depends_on_names_and_bytes_but_not_on_order(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1")
    b.write_bytes(b"2")
    both = hash_files(tmp_path, [a, b])
    assert both == hash_files(tmp_path, [b, a]) != hash_files(tmp_path, [a, b], "part")
    a.write_bytes(b"2")
    b.write_bytes(b"1")
    assert hash_files(tmp_path, [a, b]) != both


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SourceError, match="gone: cannot be read"):
        hash_files(tmp_path, [tmp_path / "gone"])
