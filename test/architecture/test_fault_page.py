# SPDX-License-Identifier: Apache-2.0
"""docs/reference/faults.md names every row that has a test, and only tests that exist."""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "faults.md").read_text()
OWN = PAGE.split("## Rows with tests of their number\n")[1].split("\n## ")[0]
NOT_COVERED = PAGE.split("## Not covered\n")[1]


def listed(part):
    """Row number -> what its last column names."""
    rows = re.findall(r"^\| (\d\d) \|.*\| ([^|]*) \|$", part, re.MULTILINE)
    assert len(rows) == len({number for number, _ in rows}), "a row stands twice"
    return {number: set(re.findall(r"`([^`]+)`", tests)) for number, tests in rows}


def test_the_page_lists_every_row_that_has_a_test_with_its_files():
    found = defaultdict(set)
    for file in sorted((ROOT / "test").rglob("test_*.py")):
        for number in re.findall(r"^def test_row_(\d\d)_", file.read_text(), re.MULTILINE):
            found[number].add(str(file.relative_to(ROOT)))
    assert listed(OWN) == dict(found)


def test_every_row_stands_in_one_part():
    parts = [set(listed(OWN)), set(re.findall(r"\b\d\d\b", NOT_COVERED))]
    assert sorted(number for part in parts for number in part) == [f"{n:02}" for n in range(1, 59)]


def test_codes_are_those_of_the_message():
    known = set(re.findall(r"int32 ([A-Z_]+)=", (ROOT / "msg" / "ErrorCode.msg").read_text()))
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", PAGE)) | {"BUSY", "CANCELED", "DEACTIVATED"}
    assert named <= known
