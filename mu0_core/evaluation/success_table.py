# SPDX-License-Identifier: Apache-2.0
"""Success over tasks and seeds: counts, Markdown, JSON, a plot."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class SuccessTable:
    """Counts of episodes: judged task -> [successes, episodes]."""

    counts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def add(self, task: str, success: bool) -> None:
        """Count one episode."""
        self.counts[task][0] += bool(success)
        self.counts[task][1] += 1

    def to_json(self) -> dict[str, Any]:
        """Return ``{"tasks": {NAME: {"successes": n, "episodes": m}}}``."""
        return {
            "tasks": {t: {"successes": s, "episodes": n} for t, (s, n) in self.counts.items()}
        }

    def to_markdown(self) -> str:
        """Return a table with 95 % Wilson intervals and the mean over tasks."""
        lines = ["| task | success | 95 % interval |", "|---|---|---|"]
        for task, (successes, episodes) in self.counts.items():
            low, high = wilson(successes, episodes)
            lines.append(
                f"| {task} | {successes}/{episodes} = {successes / episodes:.0%} "
                f"| {low:.0%} to {high:.0%} |"
            )
        rates = [s / n for s, n in self.counts.values()]
        if rates:
            lines.append(f"| **mean** | **{np.mean(rates):.0%}** | |")
        return "\n".join(lines)

    def plot(self, path: Path) -> None:
        """Write a bar chart with intervals as PNG."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        names = list(self.counts)
        rates = np.array([s / n for s, n in self.counts.values()])
        bounds = np.array([wilson(*c) for c in self.counts.values()])
        errors = np.abs(np.stack([rates - bounds[:, 0], bounds[:, 1] - rates]))
        figure, axes = pyplot.subplots(figsize=(1.4 * len(names) + 1.5, 3.2), dpi=140)
        axes.bar(names, rates, yerr=errors, color="#3b6fb6", capsize=4)
        axes.set_ylim(0, 1)
        axes.set_ylabel("success")
        axes.tick_params(axis="x", rotation=20)
        figure.tight_layout()
        figure.savefig(path)
        pyplot.close(figure)


def wilson(successes: int, episodes: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson interval of a rate."""
    if episodes == 0:
        return 0.0, 1.0
    rate = successes / episodes
    spread = z * np.sqrt(rate * (1 - rate) / episodes + z**2 / (4 * episodes**2))
    centre, scale = rate + z**2 / (2 * episodes), 1 + z**2 / episodes
    return float(max(0.0, (centre - spread) / scale)), float(min(1.0, (centre + spread) / scale))
