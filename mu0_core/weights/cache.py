# SPDX-License-Identifier: Apache-2.0
"""The cache of converted weights: each model in a folder of its own with a hash manifest."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from mu0_core.errors import MissingWeightsError, ModelIntegrityError
from mu0_core.paths import cache_dir
from mu0_core.weights import dinov2_small, smollm2
from mu0_core.weights.packages import sha256_of

_CONVERTERS = {module.NAME: module.convert for module in (dinov2_small, smollm2)}
MANIFEST = "sha256sums.txt"


def converted_model(name: str, *, convert: bool = False) -> Path:
    """Return the folder of a converted model.

    Args:
        name: one of `names()`.
        convert: make it from the installed package if it is not there yet.

    Raises:
        MissingWeightsError: not converted yet; names the command.
        ModelIntegrityError: a file of the folder changed since it was converted.
    """
    if name not in _CONVERTERS:
        raise MissingWeightsError(f"unknown backbone part {name!r}; known: {sorted(_CONVERTERS)}")
    folder = cache_dir() / name
    if not (folder / MANIFEST).is_file():
        if not convert:
            raise MissingWeightsError(
                f"backbone part {name} is not in {cache_dir()}; run: python -m mu0_core.weights"
            )
        _convert(name, folder)
    check_manifest(folder)
    return folder


def names() -> tuple[str, ...]:
    """Return the names of all parts that can be converted."""
    return tuple(_CONVERTERS)


def check_manifest(folder: Path) -> None:
    """Compare every file of a folder with its manifest.

    Raises:
        ModelIntegrityError: a file is missing or has another hash.
    """
    for line in (folder / MANIFEST).read_text().splitlines():
        expected, _, relative = line.partition("  ")
        path = folder / relative
        actual = sha256_of(path) if path.is_file() else "no such file"
        if actual != expected:
            raise ModelIntegrityError(
                f"{path} has sha256 {actual}, its manifest says {expected}; "
                f"delete {folder} and run: python -m mu0_core.weights"
            )


def _convert(name: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
    try:
        _CONVERTERS[name](staging)
        lines = [
            f"{sha256_of(path)}  {path.relative_to(staging)}"
            for path in sorted(staging.rglob("*"))
            if path.is_file()
        ]
        (staging / MANIFEST).write_text("\n".join(lines) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
