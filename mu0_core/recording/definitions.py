# SPDX-License-Identifier: Apache-2.0
"""Message definitions as MCAP wants them: the text of a type and of all types inside it.

The texts are read from the ``share`` folders of the installed interface packages, so that what is
recorded is what the processes speak. With them a recording can be read without our package.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mu0_core.errors import ConfigError

_SEPARATOR = "=" * 80
_PRIMITIVES = frozenset(
    "bool byte char float32 float64 int8 uint8 int16 uint16 int32 uint32 int64 uint64 string "
    "wstring".split()
)
_FIELD_TYPE = re.compile(r"^([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?$")


def share_folders() -> list[Path]:
    """Return ``PREFIX/share`` of every prefix in AMENT_PREFIX_PATH, the first one first."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return [Path(prefix) / "share" for prefix in prefixes if prefix]


def definition(type_name: str, shares: Iterable[Path] | None = None) -> str:
    """Return the definition of ``package/msg/Name`` in the form called ``ros2msg``.

    The text of the type comes first; after a line of 80 ``=`` and ``MSG: package/Name`` follows
    each type that it needs, once.

    Args:
        type_name: such as ``sensor_msgs/msg/Image``.
        shares: folders of packages; by default `share_folders`.

    Raises:
        ConfigError: a file of a definition is missing or the name is none of a message.
    """
    folders = list(share_folders() if shares is None else shares)
    texts: dict[str, str] = {}
    pending = [_short(type_name)]
    while pending:
        name = pending.pop(0)
        if name not in texts:
            texts[name] = _read(name, folders)
            pending += _needed(texts[name], name.split("/")[0])
    first, *others = texts.items()
    parts = [first[1], *(f"{_SEPARATOR}\nMSG: {name}\n{text}" for name, text in others)]
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def _short(type_name: str) -> str:
    parts = type_name.split("/")
    if len(parts) != 3 or parts[1] != "msg" or not all(parts):
        raise ConfigError(f"{type_name!r} is no message type, expected package/msg/Name")
    return f"{parts[0]}/{parts[2]}"


def _read(name: str, folders: list[Path]) -> str:
    package, message = name.split("/")
    for folder in folders:
        file = folder / package / "msg" / f"{message}.msg"
        if file.is_file():
            return file.read_text()
    raise ConfigError(
        f"no definition {package}/msg/{message}.msg under {[str(f) for f in folders]}; install "
        f"{package} or source its workspace"
    )


def _needed(text: str, package: str) -> Iterator[str]:
    """Yield the types of the fields of a definition that are messages themselves."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        match = _FIELD_TYPE.match(words[0]) if words else None
        if match is None or match.group(1) in _PRIMITIVES:
            continue
        name = match.group(1)
        yield name if "/" in name else f"{package}/{name}"
