# SPDX-License-Identifier: Apache-2.0
"""Where shipped files lie: in a source tree, a colcon install, or a folder named by the user."""

from __future__ import annotations

import os
from pathlib import Path

from mu0_core.errors import ConfigError

ASSETS = Path(__file__).resolve().parent / "assets"


def cache_dir() -> Path:
    """Return the folder for converted backbone weights (``MU0_CACHE_DIR`` or ``~/.cache/mu0``)."""
    return Path(os.environ.get("MU0_CACHE_DIR", Path.home() / ".cache" / "mu0"))


def config_file(relative: str) -> Path:
    """Return the path of a file under ``config/``.

    Looks in ``MU0_CONFIG_DIR``, then the source tree, then the install prefix.

    Raises:
        ConfigError: the file is in none of them.
    """
    here = Path(__file__).resolve()
    roots = [here.parents[1] / "config"]
    if len(here.parents) > 4:
        roots.append(here.parents[4] / "share" / "mu0" / "config")
    if "MU0_CONFIG_DIR" in os.environ:
        roots.insert(0, Path(os.environ["MU0_CONFIG_DIR"]))
    for root in roots:
        if (root / relative).is_file():
            return root / relative
    raise ConfigError(f"no file {relative!r} under any of {[str(r) for r in roots]}")
