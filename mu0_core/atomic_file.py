# SPDX-License-Identifier: Apache-2.0
"""Files that are there as a whole or not at all, whatever interrupts their writing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a hidden file beside ``path``, flush it to disk and put it there.

    Its folder is made when missing. When ``write`` raises, the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)  # safetensors writes files that only the owner reads
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a npz file."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:  # a name would get the suffix .npz
            np.savez(stream, **arrays)

    replace_file(path, write)
