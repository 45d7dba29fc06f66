# SPDX-License-Identifier: Apache-2.0
"""What came of a soak run: a JSON object, and the same as Markdown. No ROS."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mu0_core.atomic_file import replace_file

_KEPT_FAILURES = 200
_HELD = (
    "life_s",
    "rss_mib",
    "rss_growth_percent",
    "private_mib",
    "private_growth_percent",
    "threads",
    "threads_growth",
    "files",
    "files_growth",
)


@dataclass
class SoakResult:
    """Figures of one run, filled while it goes on.

    Attributes:
        seed: of the faults and tasks.
        faults: kind -> how often.
        failed: universal assertion -> how often it did not hold.
        failures: the first of them, each with seconds since the start, fault and what happened.
        rest_s: kind of fault -> times from the fault to rest, where the arm moved.
        facts: everything else.
    """

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    rest_s: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def fail(self, assertion: str, at_s: float, fault: str, what: str) -> None:
        """Note that a universal assertion did not hold."""
        self.failed[assertion] += 1
        if len(self.failures) < _KEPT_FAILURES:
            self.failures.append(
                {"assertion": assertion, "at_s": round(at_s, 2), "fault": fault, "what": what}
            )

    def rested(self, fault: str, seconds: float) -> None:
        """Note a time to rest."""
        self.rest_s.setdefault(fault, []).append(seconds)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        rests = {
            kind: {"count": len(times), "worst_s": round(max(times), 3)}
            for kind, times in sorted(self.rest_s.items())
        }
        return {
            **provenance(self.seed),
            **self.facts,
            "faults": dict(sorted(self.faults.items())),
            "faults_total": self.faults.total(),
            "rest": rests,
            "universal_assertion_failures": self.failed.total(),
            "failed": dict(self.failed),
            "failures": self.failures,
        }

    def write(self, file: Path) -> None:
        """Write the JSON object; a file that is there is replaced as a whole."""
        text = json.dumps(self.to_json(), indent=1) + "\n"
        replace_file(file, lambda temporary: temporary.write_text(text))

    def markdown(self) -> str:
        """Return tables for people."""
        result = self.to_json()
        lines = ["| what | value |", "|---|---|"]
        for name in ("duration_s", "tasks", "ends", "chunks", "commands", "shares_of_limits"):
            lines.append(f"| {name} | {result.get(name, '')} |")
        for name in ("faults_total", "universal_assertion_failures", "machine", "commit", "seed"):
            lines.append(f"| {name} | {result[name]} |")
        lines += [
            "",
            "| fault | times | in motion | worst time to rest [s] |",
            "|---|---|---|---|",
        ]
        for kind, count in result["faults"].items():
            rest = result["rest"].get(kind, {"count": "", "worst_s": ""})
            lines.append(f"| {kind} | {count} | {rest['count']} | {rest['worst_s']} |")
        lines += ["", f"| process | {' | '.join(_HELD)} |", "|---" * (len(_HELD) + 1) + "|"]
        for name, held in result.get("processes", {}).items():
            lines.append(f"| {name} | {' | '.join(str(held[key]) for key in _HELD)} |")
        for failure in self.failures[:20]:
            lines.append(
                f"\nFAILED {failure['assertion']} at {failure['at_s']} s, {failure['fault']}: "
                f"{failure['what']}"
            )
        return "\n".join(lines) + "\n"


def provenance(seed: int) -> dict[str, Any]:
    """Return where and when figures were taken: date, commit, machine, seed."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = names[0].partition(": ")[2] if names else model
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit or "unknown",
        "machine": f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "seed": seed,
    }
