# SPDX-License-Identifier: Apache-2.0
"""The model card beside a trained checkpoint: how it came to be, and what it measured.

Every number is one that this training computed; there is no field to fill in by hand.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mu0_core.training.train_state import Progress

CARD = "MODEL_CARD.md"
NO_COMMIT = "not recorded (the code was not run from a git checkout)"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a checkpoint comes from: the command, the seed, the code, the data."""

    command: str
    seed: int
    commit: str
    data: str

    def header(self) -> dict[str, str]:
        """Return the strings for a checkpoint's header."""
        return {"command": self.command, "seed": str(self.seed), "commit": self.commit}


def current_commit() -> str:
    """Return the git commit of this code, marked ``-dirty`` if changed, or `NO_COMMIT`."""
    root = Path(__file__).resolve().parents[2]
    try:
        result = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return NO_COMMIT
    return result.stdout.strip() if result.returncode == 0 else NO_COMMIT


def write_model_card(
    folder: Path,
    title: str,
    summary: str,
    provenance: Provenance,
    progress: Progress,
    settings: Mapping[str, object],
) -> Path:
    """Write ``MODEL_CARD.md``.

    Args:
        folder: of the checkpoint.
        title: of the card.
        summary: what the model is, in words.
        provenance: of the checkpoint.
        progress: of the finished training.
        settings: one line each, as trained.
    """
    minutes = progress.elapsed_s / 60
    lines = [
        f"# {title}", "", summary, "",
        "## How it was made", "",
        f"- command: `{provenance.command}`",
        f"- seed: {provenance.seed}",
        f"- commit: {provenance.commit}",
        f"- data: {provenance.data}",
        f"- updates: {progress.step} in {minutes:.1f} minutes; {progress.skipped} skipped as "
        "not finite",
        "", "## Metrics on held-out training episodes", "",
        *_table("metric", "value", {k: f"{v:.5g}" for k, v in progress.metrics.items()}),
        "", "## Settings", "",
        *_table("setting", "value", settings),
    ]  # fmt: skip
    if progress.history:
        lines += ["", "## History", "", *_history(progress.history)]
    path = folder / CARD
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _table(left: str, right: str, rows: Mapping[str, object]) -> list[str]:
    return [f"| {left} | {right} |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())]


def _history(rows: list[dict[str, float]]) -> list[str]:
    names = list(rows[-1])
    cells = [" | ".join(f"{row[n]:.5g}" if n in row else "" for n in names) for row in rows]
    return [
        "| " + " | ".join(names) + " |",
        "|" + "---|" * len(names),
        *(f"| {line} |" for line in cells),
    ]
