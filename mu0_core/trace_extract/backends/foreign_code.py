# SPDX-License-Identifier: Apache-2.0
"""Model code in repositories of their own: how it is found, and what is said when it is not.

Nothing is downloaded here. Some repositories are packages. Others are folders of scripts whose
modules have names such as ``models`` or ``utils``, which two of them claim at once. Such a folder
is named by an environment variable and its modules are only visible inside `ForeignCode.active`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from mu0_core.errors import ModelError


@dataclass(slots=True)
class ForeignCode:
    """A repository whose modules an adapter calls.

    Attributes:
        name: of the model, for messages.
        repository: address without ``https://``.
        install: what brings the code.
        licence: of code and weights; part of every message, because some forbid commercial use.
        variable: environment variable with the folder of a clone; "" = it is a package.
        top_level: names of the modules in that folder, when ``variable`` is set.
    """

    name: str
    repository: str
    install: str
    licence: str
    variable: str = ""
    top_level: tuple[str, ...] = ()
    _modules: dict[str, ModuleType] = field(default_factory=dict, repr=False)

    def attribute(self, module: str, name: str) -> object:
        """Return an attribute of one of its modules; call it inside `active`.

        Raises:
            ModelError: it cannot be imported; says what to install and under which licence.
        """
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ModelError(
                f"{self.name} needs {module}.{name} of {self.repository} ({error}); "
                f"{self.install}. Licence: {self.licence}"
            ) from error

    def folder(self) -> Path:
        """Return the folder of the clone.

        Raises:
            ModelError: the variable is not set, or there is no such folder.
        """
        value = os.environ.get(self.variable, "")
        if not value or not Path(value).is_dir():
            raise ModelError(
                f"{self.name} needs a clone of {self.repository}: {self.install}, and set "
                f"{self.variable} to its folder (now {value!r}). Licence: {self.licence}"
            )
        return Path(value).resolve()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make its modules importable, and put aside others of the same names meanwhile."""
        if not self.variable:
            yield
            return
        folder = str(self.folder())
        others = _take_modules(self.top_level)
        sys.modules.update(self._modules)
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)
            self._modules = _take_modules(self.top_level)
            sys.modules.update(others)


def _take_modules(top_level: tuple[str, ...]) -> dict[str, ModuleType]:
    """Remove the modules of these top-level names from `sys.modules` and return them."""
    names = [n for n in sys.modules if n.partition(".")[0] in top_level]
    return {n: sys.modules.pop(n) for n in names}
