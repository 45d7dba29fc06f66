# SPDX-License-Identifier: Apache-2.0
"""Definitions as MCAP wants them: the type first, then each type that it needs, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mu0_core.errors import ConfigError
from mu0_core.recording.definitions import definition


def _share(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        package, message = name.split("/")
        path = folder / package / "msg" / f"{message}.msg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_every_needed_type_follows_once(tmp_path: Path) -> None:
    share = _share(
        tmp_path,
        {
            "a/Top": "b/Low[] many  # c/NotAType\nLow2<=3 x\nstring<=10 name\nuint8 KIND=1\n",
            "a/Low2": "float64[3] xyz\nb/Low again",
            "b/Low": "int32 sec",
        },
    )
    parts = definition("a/msg/Top", [share]).split("=" * 80 + "\n")
    assert parts[0].startswith("b/Low[] many")
    assert [part.splitlines()[0] for part in parts[1:]] == ["MSG: b/Low", "MSG: a/Low2"]
    assert all(part.endswith("\n") for part in parts)


def test_the_first_folder_that_has_a_type_counts(tmp_path: Path) -> None:
    first = _share(tmp_path / "1", {"a/Top": "int8 x\n"})
    second = _share(tmp_path / "2", {"a/Top": "int16 x\n"})
    assert definition("a/msg/Top", [first, second]) == "int8 x\n"


def test_a_missing_type_is_named_with_its_repair(tmp_path: Path) -> None:
    share = _share(tmp_path, {"a/Top": "b/Gone x\n"})
    with pytest.raises(ConfigError, match=r"no definition b/msg/Gone\.msg .* install b"):
        definition("a/msg/Top", [share])


@pytest.mark.parametrize("name", ["a/Top", "a/srv/Top", "Top", "a/msg/", ""])
def test_what_is_no_message_type_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="expected package/msg/Name"):
        definition(name, [])
