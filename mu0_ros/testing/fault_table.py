# SPDX-License-Identifier: Apache-2.0
"""The page of measured faults: what the tests of each row gave, joined with what the rows mean.

What a fault is and what is to happen stands in docs/reference/faults.md and nowhere else; this
takes it from there. No ROS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROWS = tuple(f"{number:02}" for number in range(1, 59))
TIERS = {"37": "both", **dict.fromkeys(("11", "39", "40", "41"), "both"), "55": "Jazzy"}
_ROW = re.compile(r"test_row_(\d\d)_")
_JAZZY = "test.jazzy"


@dataclass
class RowResult:
    """What the tests of one row gave; ``jazzy`` counts those that wait for a Jazzy image."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    jazzy: int = 0
    rest_s: list[float] = field(default_factory=list)

    @property
    def tests(self) -> int:
        """Return how many tests the row has."""
        return self.passed + self.failed + self.skipped + self.jazzy


def read_junit(*reports: str) -> dict[str, RowResult]:
    """Return row -> result of reports that ``pytest --junitxml`` wrote.

    Of a test that stands in several reports the last one counts.
    """
    cases: dict[tuple[str, str], ElementTree.Element] = {}
    for report in reports:
        for case in ElementTree.fromstring(report).iter("testcase"):
            cases[case.get("classname", ""), case.get("name", "")] = case
    rows: dict[str, RowResult] = {}
    for (where, name), case in cases.items():
        match = _ROW.search(name)
        if match is not None:
            _count(case, rows.setdefault(match.group(1), RowResult()), where.startswith(_JAZZY))
    return rows


def _count(case: ElementTree.Element, row: RowResult, jazzy: bool) -> None:
    if case.find("failure") is not None or case.find("error") is not None:
        row.failed += 1
    elif case.find("skipped") is not None:
        row.jazzy += jazzy
        row.skipped += not jazzy
    else:
        row.passed += 1
        values = [p for p in case.iter("property") if p.get("name") == "rest_s"]
        row.rest_s += [float(p.get("value", "nan")) for p in values[-1:]]


def read_meanings(page: str) -> dict[str, tuple[str, str]]:
    """Return row -> (fault, what happens) of the page of faults."""
    found = re.findall(r"^\| (\d\d) \| ([^|]*) \| ([^|]*) \|", page, re.MULTILINE)
    meanings = {number: (fault, happens) for number, fault, happens in found}
    missing = page.partition("## Not covered\n")[2]
    for number, why in re.findall(r"\b(\d\d) \(([^)]*)\)", missing):
        meanings.setdefault(number, ("", why))
    return meanings


def state_of(row: RowResult | None) -> str:
    """Return in a word what is known of a row."""
    if row is None:
        return "not covered"
    if row.failed:
        return "FAILED"
    return "run" if row.passed else "needs Jazzy" if row.jazzy else "skipped"


def page(
    rows: Mapping[str, RowResult],
    meanings: Mapping[str, tuple[str, str]],
    facts: Mapping[str, Any],
    soak: Mapping[str, Any] | None = None,
) -> str:
    """Return the Markdown.

    Args:
        rows: results by number.
        meanings: fault and expectation by number.
        facts: date, commit, machine, seed.
        soak: the object that ``scripts/soak.py --json`` wrote, for row 56.
    """
    passed, failed = (sum(getattr(r, key) for r in rows.values()) for key in ("passed", "failed"))
    worst = max((s for r in rows.values() for s in r.rest_s), default=float("nan"))
    lines = [
        "# Fault table",
        "",
        "Written by `make faults` from the tests of each row; do not edit. What rows and words",
        "mean, and which tests these are, stands in [faults](faults.md). Worst rest is the",
        "longest time from the fault to the arm at rest, where the tests time it. Tier: wheels",
        "runs without a ROS installation; Jazzy needs one, and its tests (`test/jazzy`) wait.",
        "A test that fails may be repeated twice, as in `make test`.",
        "",
        f"{facts['date']}, commit {facts['commit']}, {facts['machine']}, seed {facts['seed']}:",
        f"{passed} tests passed, {failed} failed; worst rest {worst:.2f} s.",
        "",
        "| row | fault | expected | tests | passed | failed | waiting | worst rest [s] | tier "
        "| state |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for number in ROWS:
        row, (fault, expected) = rows.get(number), meanings.get(number, ("", ""))
        shown = row or RowResult()
        rest = f"{max(shown.rest_s):.2f}" if shown.rest_s else ""
        lines.append(
            f"| {number} | {fault} | {expected} | {shown.tests} | {shown.passed} | {shown.failed} "
            f"| {shown.skipped + shown.jazzy} | {rest} | {TIERS.get(number, 'wheels')} "
            f"| {state_of(row)} |"
        )
    return "\n".join([*lines, "", *_soak_lines(soak)]) + "\n"


def _soak_lines(soak: Mapping[str, Any] | None) -> list[str]:
    head = ["## Row 56: the soak", ""]
    if soak is None:
        return [*head, "Not run at length yet: `python scripts/soak.py --minutes 60`."]
    chunks = sum(soak["chunks"].values())
    lines = [
        *head,
        f"`python scripts/soak.py`, {soak['date']}, commit {soak['commit']}, seed {soak['seed']}:",
        f"{soak['duration_s'] / 60:.0f} minutes, {soak['tasks']} tasks, {chunks} chunks judged,",
        f"{soak['faults_total']} faults of {len(soak['faults'])} kinds,",
        f"**{soak['universal_assertion_failures']} failures of the universal assertions**.",
        "",
        "| process | life [s] | memory [MiB] | growth | threads gained | files gained |",
        "|---|---|---|---|---|---|",
    ]
    for name, held in soak["processes"].items():
        memory = f"{held['rss_mib']} | {held['rss_growth_percent']} %"
        gained = f"{held['threads_growth']} | {held['files_growth']}"
        lines.append(f"| {name} | {held['life_s']:.0f} | {memory} | {gained} |")
    rests = [(rest["worst_s"], kind) for kind, rest in soak["rest"].items()]
    if rests:
        worst_s, kind = max(rests)
        lines += ["", f"Worst rest after a fault in motion: {worst_s} s ({kind})."]
    return lines


def files_with_rows(tests: Path) -> list[Path]:
    """Return the test files that hold tests of rows."""
    row = re.compile("^def test_row_", re.MULTILINE)
    return [f for f in sorted(tests.rglob("test_*.py")) if row.search(f.read_text())]
