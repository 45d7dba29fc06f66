# SPDX-License-Identifier: Apache-2.0
"""Reading safetensors files with suspicion. Nothing is ever unpickled.

The header is checked before the library sees the file: its size, its JSON, the dtypes. Tensors
are read lazily, so that a 10 GB checkpoint never lies twice in memory.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mu0_core.errors import ModelError, ModelIntegrityError

MANIFEST = "sha256sums.txt"
_MAX_HEADER_BYTES = 100_000_000
_FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})


class TensorFile(Mapping[str, Tensor]):
    """A read-only safetensors file of floating-point tensors.

    Raises:
        ModelError: the file is missing or is not a safetensors file.
        ModelIntegrityError: the file is damaged or holds something else than floats.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.shapes = _read_shapes(self.path)
        try:
            self._file = safe_open(str(self.path), framework="pt")
        except (SafetensorError, OSError) as error:
            raise ModelIntegrityError(f"{self.path} is damaged: {error}") from error

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.shapes:
            raise KeyError(name)
        return self._file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def verify_manifest(folder: Path | str, *names: str, required: bool = False) -> None:
    """Compare files with the sha256 sums in ``sha256sums.txt`` beside them.

    Args:
        folder: of the checkpoint.
        names: files about to be read; each must be listed when there is a manifest.
        required: whether a missing manifest is an error.

    Raises:
        ModelIntegrityError: a sum differs, a file is not listed, or the manifest is missing.
    """
    folder = Path(folder)
    manifest = folder / MANIFEST
    if not manifest.is_file():
        if required:
            raise ModelIntegrityError(f"{manifest} is missing: cannot verify {', '.join(names)}")
        return
    sums = {}
    for line in manifest.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        sums[name.strip()] = digest.strip().lower()
    for name in names:
        if name not in sums:
            raise ModelIntegrityError(f"{manifest} does not list {name}")
        actual = sha256(folder / name)
        if actual != sums[name]:
            raise ModelIntegrityError(
                f"{folder / name} has sha256 {actual}, {MANIFEST} promises {sums[name]}"
            )


def sha256(path: Path) -> str:
    """Return the hex digest of a file; raises `ModelError` when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error}") from error


def _read_shapes(path: Path) -> dict[str, torch.Size]:
    if path.suffix.lower() in _PICKLES:
        raise ModelError(f"{path} is a pickle and is not read: convert it to .safetensors first")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            prefix = stream.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
            if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
                raise ModelIntegrityError(
                    f"{path}: header of {length} bytes in a file of {size} (at most "
                    f"{_MAX_HEADER_BYTES}): not a safetensors file, or cut off"
                )
            header = json.loads(stream.read(length))
        entries = {k: v for k, v in header.items() if k != "__metadata__"}
        wrong = sorted(k for k, v in entries.items() if v["dtype"] not in _FLOATS)
        shapes = {k: torch.Size(v["shape"]) for k, v in entries.items()}
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelIntegrityError(f"{path}: malformed safetensors header: {error!r}") from error
    if wrong:
        raise ModelIntegrityError(f"{path}: not floating point: {', '.join(wrong[:8])}")
    return shapes
