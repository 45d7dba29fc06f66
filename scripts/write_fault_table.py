#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the tests of all rows of the fault catalogue and write docs/reference/fault_table.md.

    make faults

``--junit FILE ...`` takes the results of runs that are over instead of running the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mu0_core.atomic_file import replace_file
from mu0_ros.environment import ros_environment
from mu0_ros.testing.fault_table import files_with_rows, page, read_junit, read_meanings
from mu0_ros.testing.soak_result import provenance

ROOT = Path(__file__).resolve().parents[1]
FAULTS = ROOT / "docs" / "reference" / "faults.md"
TABLE = ROOT / "docs" / "reference" / "fault_table.md"
SOAK = ROOT / "docs" / "results" / "soak.json"
SEED = 0  # of every test that draws at random


def run_tests(report: Path) -> int:
    """Run what holds tests of rows, in one process, and write a JUnit report."""
    files = [str(file.relative_to(ROOT)) for file in files_with_rows(ROOT / "test")]
    env = {**ros_environment(), "MU0_FAULT_CYCLES": "100"}
    words = ["-q", "-k", "test_row_", "--reruns", "2", f"--junitxml={report}", *files]
    return subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, env=env).returncode


def main() -> int:
    """Write the page; return 1 when a test failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--junit", type=Path, nargs="+", help="later ones replace earlier ones")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reports = given.junit or [Path(folder) / "report.xml"]
        if given.junit is None:
            os.environ.setdefault("OMP_NUM_THREADS", "2")
            run_tests(reports[0])
        rows = read_junit(*(report.read_text() for report in reports))
    soak = json.loads(SOAK.read_text()) if SOAK.is_file() else None
    text = page(rows, read_meanings(FAULTS.read_text()), provenance(SEED), soak)
    replace_file(TABLE, lambda temporary: temporary.write_text(text))
    return 1 if any(row.failed for row in rows.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
