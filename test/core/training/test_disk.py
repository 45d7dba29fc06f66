# SPDX-License-Identifier: Apache-2.0
"""What cannot be written is one error with its reason, and what was there before stays."""

from __future__ import annotations

import errno
import resource
from contextlib import contextmanager

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from mu0_core.errors import DataError
from mu0_core.training.disk import writing
from mu0_core.training.train_state import (
    STATE_FILE,
    Progress,
    Randomness,
    load_state,
    save_state,
)


@contextmanager
def files_of_at_most(size):
    """Let the kernel stop every file at ``size`` bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def state(value, count=20_000):
    parameter = nn.Parameter(torch.full((count,), float(value)))
    return (
        {}, {"p": parameter}, None, torch.optim.AdamW([parameter]), Randomness.from_seed(0),
    )  # fmt: skip


def test_a_full_disk_leaves_the_state_before(tmp_path):
    save_state(tmp_path, *state(1), Progress(step=1))
    before = (tmp_path / STATE_FILE).read_bytes()
    with files_of_at_most(10_000), pytest.raises(DataError, match="the disk is full.*unchanged"):
        save_state(tmp_path, *state(2), Progress(step=2))
    assert (tmp_path / STATE_FILE).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [STATE_FILE]  # nothing half written either
    loaded = state(0)
    assert load_state(tmp_path, *loaded).step == 1
    assert torch.equal(loaded[1]["p"], torch.ones(20_000))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_the_reason_and_the_file_are_named(tmp_path, error, message):
    with pytest.raises(DataError, match=rf"cannot write .*x\.bin: .*{message}") as caught:
        with writing(tmp_path / "x.bin"):
            raise error
    assert ("disk is full" in str(caught.value)) == (message == "disk is full")
