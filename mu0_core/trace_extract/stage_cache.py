# SPDX-License-Identifier: Apache-2.0
"""Results of stages on disk, so that a killed or repeated run goes on where it was.

A result belongs to a key: the source, this stage's name, version and settings, and those of every
stage before it. Another key means computing again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TypeVar
from zipfile import BadZipFile

import numpy as np

from mu0_core.atomic_file import save_arrays

Record = TypeVar("Record")
_KEY = "cache_key"


class StageCache:
    """The results of one clip.

    Attributes:
        key: of the last stage asked for.
    """

    def __init__(self, folder: Path, source_key: str) -> None:
        """Keep results in ``folder``; ``source_key`` names the clip and how it was read."""
        self._folder, self.key = folder, _digest(source_key)

    def get(
        self, stage: str, settings: object, kind: type[Record], compute: Callable[[], Record]
    ) -> Record:
        """Return a stage's result: from disk when its key is the same, else computed and kept.

        Args:
            stage: name and version, e.g. ``tracks-1``; a new version when the code changes what
                comes out.
            settings: whatever determines the result besides the stages before.
            kind: dataclass of arrays and strings; an array may be None.
            compute: makes the result.
        """
        self.key = _digest(f"{self.key} {stage} {settings!r}")
        path = self._folder / f"{stage}.npz"
        kept = self._load(path, kind)
        if kept is not None:
            return kept
        record = compute()
        arrays = {f.name: getattr(record, f.name) for f in fields(kind)}
        arrays = {name: value for name, value in arrays.items() if value is not None}
        save_arrays(path, {**arrays, _KEY: np.array(self.key)})
        return record

    def _load(self, path: Path, kind: type[Record]) -> Record | None:
        try:
            with np.load(path, allow_pickle=False) as kept:
                if str(kept[_KEY]) != self.key:
                    return None
                return kind(**{f.name: _value(kept.get(f.name)) for f in fields(kind)})
        except (OSError, ValueError, KeyError, BadZipFile):
            return None  # absent or cut short: compute


def _value(array: np.ndarray | None) -> object:
    return str(array) if array is not None and array.dtype.kind == "U" else array


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
