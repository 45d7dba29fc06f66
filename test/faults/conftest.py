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
    for outcome in ("passed", "failed", ""):  # "" holds the teardown of what passed
        for report in terminalreporter.getreports(outcome):
            match = re.search(r"/faults/.*test_row_(\d\d)_", getattr(report, "nodeid", ""))
            if match and outcome and report.when == "call":
                rows[match.group(1)][outcome] += 1
            elif match and report.when == "teardown":
                properties = dict(report.user_properties)
                rows[match.group(1)]["rest_s"] += [properties.get("rest_s", 0.0)]
    if not rows:
        return
    terminalreporter.section("fault catalogue")
    terminalreporter.write_line("row  passed  failed  worst time to rest [s]")
    for number, row in sorted(rows.items()):
        rest = f"{max(row['rest_s']):.2f}" if any(row["rest_s"]) else "-"
        terminalreporter.write_line(f"{number:>3}  {row['passed']:>6}  {row['failed']:>6}  {rest}")
