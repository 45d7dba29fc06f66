# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue: stop times are noted and shown in a table at the end."""

import re
from collections import defaultdict

import pytest


@pytest.fixture
def note_rest(request):
    """Call with seconds from the fault to rest; the worst of each row is shown at the end."""
    return lambda rest_s: request.node.user_properties.append(("rest_s", rest_s))


def pytest_terminal_summary(terminalreporter):
    """Print one line for each row: tests, failures, worst time to rest."""
    rows = defaultdict(lambda: {"passed": 0, "failed": 0, "rest_s": []})
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            match = re.search(r"test_row_(\d\d)_", report.nodeid)
            if match and report.when == "call" and "/faults/" in report.nodeid:
                row = rows[match.group(1)]
                row[outcome] += 1
                row["rest_s"] += [v for k, v in report.user_properties if k == "rest_s"]
    if not rows:
        return
    terminalreporter.section("fault catalogue")
    terminalreporter.write_line("row  passed  failed  worst time to rest [s]")
    for number, row in sorted(rows.items()):
        rest = f"{max(row['rest_s']):.2f}" if row["rest_s"] else "-"
        terminalreporter.write_line(f"{number:>3}  {row['passed']:>6}  {row['failed']:>6}  {rest}")
