# SPDX-License-Identifier: Apache-2.0
"""docs/reference/fault_table.md has all rows, says what faults.md says, and shows no failure."""

import re
from pathlib import Path

import pytest

from mu0_ros.testing.fault_table import (
    ROWS,
    RowResult,
    files_with_rows,
    page,
    read_junit,
    read_meanings,
    state_of,
)

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "reference" / "fault_table.md").read_text()
MEANINGS = read_meanings((ROOT / "docs" / "reference" / "faults.md").read_text())
FACTS = {"date": "2026-01-01", "commit": "abc", "machine": "a machine", "seed": 0}
REPORT = """<testsuites><testsuite>
<testcase classname="test.faults.a" name="test_row_14_x[1]">
<properties><property name="rest_s" value="0.5"/></properties></testcase>
<testcase classname="test.faults.a" name="test_row_14_x[2]"><failure message="no"/></testcase>
<testcase classname="test.jazzy.b" name="test_row_55_y"><skipped message="no Jazzy"/></testcase>
<testcase classname="test.faults.a" name="test_something_else"/>
</testsuite></testsuites>"""


def shown():
    """Row -> its cells in the table."""
    cells = (line.strip("| ").split(" | ") for line in TABLE.splitlines() if line[:1] == "|")
    return {row[0]: row for row in cells if re.fullmatch(r"\d\d", row[0])}


def with_tests():
    """Rows that have a test in the tree."""
    text = "".join(file.read_text() for file in files_with_rows(ROOT / "test"))
    return set(re.findall(r"^def test_row_(\d\d)_", text, re.MULTILINE))


def test_every_row_stands_in_the_table_with_what_the_other_page_says():
    assert tuple(shown()) == ROWS
    for number, row in shown().items():
        for text in MEANINGS[number]:
            assert text.strip() in TABLE, f"row {number}: run make faults"
        assert row[-1] in ("run", "needs Jazzy", "not covered")


def test_a_row_is_run_exactly_if_it_has_tests():
    tested = {number for number, row in shown().items() if row[-1] != "not covered"}
    assert tested == with_tests()
    for number in set(ROWS) - tested:
        assert MEANINGS[number][1], f"row {number} is not covered and nobody says why"


def test_figures_come_with_machine_commit_date_and_seed():
    assert re.search(
        r"^\d{4}-\d\d-\d\d, commit \S+, .* cores, .*, seed \d+:$", TABLE, re.MULTILINE
    )
    assert "1 failed" not in TABLE and ", 0 failed;" in TABLE


def test_a_report_is_read_row_by_row():
    rows = read_junit(REPORT)
    assert rows["14"] == RowResult(passed=1, failed=1, rest_s=[0.5])
    assert rows["55"] == RowResult(jazzy=1)
    assert sorted(rows) == ["14", "55"]
    better = REPORT.replace('<failure message="no"/>', "")
    assert read_junit(REPORT, better)["14"].failed == 0, "the last report of a test counts"
    states = {number: state_of(rows.get(number)) for number in ("14", "55", "11")}
    assert states == {"14": "FAILED", "55": "needs Jazzy", "11": "not covered"}


@pytest.mark.parametrize("soak", [None, "hour"])
def test_the_page_shows_failures_and_the_soak(soak):
    if soak is not None:
        held = {"life_s": 3600.0, "rss_mib": 160.0, "rss_growth_percent": 1.5}
        held |= {"threads_growth": 0, "files_growth": 0}
        soak = {**FACTS, "duration_s": 3600.0, "tasks": 9, "chunks": {"accepted": 7}}
        soak |= {"faults_total": 1500, "faults": {"a": 1}, "processes": {"safety_gate": held}}
        soak |= {"universal_assertion_failures": 0, "rest": {"a": {"worst_s": 0.9}}}
    text = page(read_junit(REPORT), {"14": ("colour stops", "hold")}, FACTS, soak)
    assert "| 14 | colour stops | hold | 2 | 1 | 1 | 0 | 0.50 | wheels | FAILED |" in text
    assert "| 55 |  |  | 1 | 0 | 0 | 1 |  | Jazzy | needs Jazzy |" in text
    assert ("60 minutes, 9 tasks, 7 chunks" in text) == (soak is not None)
