# SPDX-License-Identifier: Apache-2.0
"""Success over tasks and seeds: counts, what was asked against what was achieved, a plot."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode.

    Attributes:
        task: the task that is judged; instructed: the one whose sentence was given.
        achieved: all tasks that were achieved at the end, asked for or not.
        end: why it ended.
        duration_s: of motion.
        rounds: forecasts; chunks_rejected: by the safety gate; both -1 when not known.
    """

    task: str
    instructed: str
    seed: int
    achieved: tuple[str, ...]
    end: str
    duration_s: float
    rounds: int = -1
    chunks_rejected: int = -1

    @property
    def success(self) -> bool:
        """Whether the judged task was achieved."""
        return self.task in self.achieved

    def to_json(self) -> dict[str, Any]:
        """Return all fields and ``success``."""
        return {**asdict(self), "achieved": list(self.achieved), "success": self.success}


@dataclass
class SuccessTable:
    """Episodes, counted by judged task.

    Attributes:
        counts: judged task -> [successes, episodes].
        episodes: in the order they came.
    """

    counts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    episodes: list[Episode] = field(default_factory=list)

    def add(self, episode: Episode) -> None:
        """Count one episode."""
        self.counts[episode.task][0] += episode.success
        self.counts[episode.task][1] += 1
        self.episodes.append(episode)

    def to_json(self) -> dict[str, Any]:
        """Return ``{"tasks": {NAME: {"successes": n, "episodes": m}}}``."""
        return {"tasks": {t: {"successes": s, "episodes": n} for t, (s, n) in self.counts.items()}}

    def confusion(self) -> dict[str, dict[str, int]]:
        """Return instructed task -> achieved task -> number of episodes."""
        table: dict[str, dict[str, int]] = {}
        for episode in self.episodes:
            row = table.setdefault(episode.instructed, {})
            for name in episode.achieved:
                row[name] = row.get(name, 0) + 1
        return table

    def confusion_markdown(self) -> str:
        """Return a table: for each sentence given, the share of episodes by what they achieved."""
        confusion = self.confusion()
        columns = list(confusion) + sorted(
            {name for row in confusion.values() for name in row} - set(confusion)
        )
        lines = [
            f"| sentence of | {' | '.join(columns)} |",
            f"|---|{'---|' * len(columns)}",
        ]
        for given, row in confusion.items():
            total = sum(e.instructed == given for e in self.episodes)
            cells = [f"{row.get(name, 0) / total:.0%}" for name in columns]
            lines.append(f"| {given} | {' | '.join(cells)} |")
        return "\n".join(lines)

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
