# SPDX-License-Identifier: Apache-2.0
"""An evaluation as a picture: error over the horizon, and wanted against reached coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mu0_core.atomic_file import replace_file
from mu0_core.evaluation.episodes.evaluate import Evaluation
from mu0_core.evaluation.episodes.scores import METRES
from mu0_core.inference.calibration import LEVELS
from mu0_core.training.disk import writing


def plot(evaluation: Evaluation, path: Path) -> None:
    """Write a PNG.

    Raises:
        DataError: it cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    studies = [row for row in evaluation.rows if row.study is not None]
    figure, panels = pyplot.subplots(
        1, 2 + bool(studies), figsize=(5.2 * (2 + bool(studies)), 4.2), dpi=130
    )
    for panel, which in zip(panels, ("top1", "best")):
        _curves(panel, evaluation, which)
    if studies:
        _reliability(panels[2], studies)
    figure.tight_layout()
    with writing(path):
        replace_file(path, lambda temporary: figure.savefig(temporary, format="png"))
    pyplot.close(figure)


def _curves(panel, evaluation: Evaluation, which: str) -> None:
    """Draw the ADE of the first steps, with its interval, of every row."""
    section = evaluation.sections[0]
    axes = METRES if _has(section, METRES, which) else "uvz"
    for name, means in section.means.items():
        keys = [k for k in means if k[:3] == ("curve", axes, which)]
        if not keys:
            continue
        steps = [key[3] for key in keys]
        bounds = np.array([[means[k].value, means[k].low, means[k].high] for k in keys])
        (line,) = panel.plot(steps, bounds[:, 0], label=name)
        panel.fill_between(
            steps, bounds[:, 1], bounds[:, 2], alpha=0.15, color=line.get_color(), linewidth=0
        )
    samples = evaluation.settings.samples
    panel.set_title("top-1" if which == "top1" else f"best of {samples}")
    panel.set_xlabel("first steps")
    panel.set_ylabel(f"ADE, {'m' if axes == METRES else axes}")
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)


def _has(section, axes: str, which: str) -> bool:
    return any(
        mean.count
        for means in section.means.values()
        for key, mean in means.items()
        if key[:3] == ("curve", axes, which)
    )


def _reliability(panel, rows) -> None:
    """Draw the share of the truth that lies inside balls of some probability."""
    panel.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for k, row in enumerate(rows):
        for name, style in (("raw", ":"), ("calibrated", "-")):
            reached = [row.study.coverage[name, level].value for level in LEVELS]
            panel.plot(
                LEVELS, reached, style, color=f"C{k}", marker="o", label=f"{row.name}, {name}"
            )
    panel.set_xlabel("wanted")
    panel.set_ylabel("truth inside")
    panel.set_title("calibration")
    panel.set_xlim(0.4, 1)
    panel.set_ylim(0, 1)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
