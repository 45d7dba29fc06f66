# SPDX-License-Identifier: Apache-2.0
"""The file of solid obstacles that the safety gate and the planner share."""

from __future__ import annotations

from pathlib import Path

import yaml

from mu0_core.errors import ConfigError
from mu0_core.geometry.box import Box, boxes_of

OBSTACLES = "YAML file with a list boxes of obstacles: name, centre_m, size_m, rpy_rad"


def obstacles_from_file(path: str) -> tuple[Box, ...]:
    """Return the boxes of a YAML file with a list ``boxes``; none for an empty path.

    Raises:
        ConfigError: the file cannot be read or an entry is wrong.
    """
    if not path:
        return ()
    try:
        data = yaml.safe_load(Path(path).read_text())
        return boxes_of(data["boxes"])
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"obstacles {path}: {type(error).__name__}: {error}") from error
