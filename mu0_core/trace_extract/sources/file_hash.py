# SPDX-License-Identifier: Apache-2.0
"""sha256 sums that tell whether a clip would be read from the same bytes again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from mu0_core.errors import SourceError


def hash_files(root: Path, files: Iterable[Path], part: str = "") -> str:
    """Return the sha256 (hex) of files below ``root``, whatever order they are given in.

    A single file gives the plain sum of its bytes, as ``sha256sum`` prints it. Several give the
    sum over relative name and sum of each, sorted by name.

    Args:
        root: folder that the names are relative to.
        files: what the clip was read from.
        part: says which clip it is, where the files hold several.

    Raises:
        SourceError: a file cannot be read.
    """
    sums = {path.relative_to(root).as_posix(): path for path in files}
    if len(sums) == 1 and not part:
        return _hash_file(next(iter(sums.values())))
    digest = hashlib.sha256(part.encode())
    for name in sorted(sums):
        digest.update(f"\0{name}\0{_hash_file(sums[name])}".encode())
    return digest.hexdigest()


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
