# SPDX-License-Identifier: Apache-2.0
"""A file is replaced as a whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.atomic_file import replace_file, save_arrays


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    replace_file(path, lambda p: p.write_text("old"))

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_made_and_others_may_read(tmp_path):
    path = tmp_path / "new" / "arrays"
    save_arrays(path, {"x": np.arange(3)})
    assert path.stat().st_mode & 0o777 == 0o644
    with np.load(path) as stored:
        np.testing.assert_array_equal(stored["x"], [0, 1, 2])
