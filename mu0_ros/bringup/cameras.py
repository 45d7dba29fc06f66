# SPDX-License-Identifier: Apache-2.0
"""Camera presets: under which names a driver publishes what our nodes read."""

from __future__ import annotations

from pathlib import Path

import yaml

from mu0_core.errors import ConfigError
from mu0_core.paths import config_file

TOPICS = ("color/image_raw", "depth/image_raw", "color/camera_info")


def camera_topics(name_or_path: str) -> dict[str, str]:
    """Return our topic -> the driver's, of ``config/cameras/<name>.yaml`` or the file at a path.

    The driver's names are relative to its namespace.

    Raises:
        ConfigError: no such file, a topic is missing or unknown, or a name is absolute.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = config_file(f"cameras/{name_or_path}.yaml")
    try:
        data = yaml.safe_load(path.read_text())
        topics = {str(key): str(value) for key, value in data["topics"].items()}
    except (OSError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
    if set(topics) != set(TOPICS):
        raise ConfigError(f"{path}: topics are {sorted(topics)}, expected {sorted(TOPICS)}")
    absolute = [name for name in topics.values() if name.startswith("/") or not name]
    if absolute:
        raise ConfigError(
            f"{path}: {absolute} must be relative names; driver_namespace:=/ is for drivers that "
            "publish in the root"
        )
    return topics
