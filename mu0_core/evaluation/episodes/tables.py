# SPDX-License-Identifier: Apache-2.0
"""An evaluation as Markdown, for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mu0_core.evaluation.episodes.evaluate import EVERYTHING, Evaluation, Row, Section
from mu0_core.evaluation.episodes.scores import METRES, PWT_CM, SIGMAS
from mu0_core.evaluation.episodes.settings import EvaluateSettings
from mu0_core.evaluation.episodes.study import Study
from mu0_core.evaluation.episodes.tally import Mean
from mu0_core.evaluation.metrics import PATH_ERRORS
from mu0_core.evaluation.spread import expected_coverage
from mu0_core.inference.calibration import LEVELS

_TITLES = {"ade": "ADE", "fde": "FDE", "dtw": "DTW", "frechet": "Fréchet"}
_UNITS = {
    METRES: "metres in the optical frame",
    "uvz": "u, v in -1..1 over the image, z in metres",
    "uv": "u, v in -1..1 over the image",
    "depth": "z in metres",
}


def markdown(evaluation: Evaluation) -> str:
    """Return the whole report."""
    settings = evaluation.settings
    parts = [_head(evaluation)]
    for section in evaluation.sections:
        parts.append(_section(section, settings, complete=section.name == EVERYTHING))
    parts += [_study(row, settings) for row in evaluation.rows if row.study is not None]
    return "\n\n".join(part for part in parts if part)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are aligned."""
    widths = [max(3, *(len(row[k]) for row in [header, *rows])) for k in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(header), line(["-" * w for w in widths]), *map(line, rows)])


def _head(evaluation: Evaluation) -> str:
    settings, scenes = evaluation.settings, evaluation.scenes
    whole = evaluation.sections[0]
    shown = "slots of the paper's protocol" if settings.slots == "headline" else "all slots"
    lines = [
        "# Forecast errors",
        "",
        f"{whole.points} moving points in {whole.slots} slots of {whole.episodes} episodes "
        f"({shown}, at most {settings.points} points each, seed {settings.seed}). Top-1 is the "
        f"first sample, best of {settings.samples} the smallest error of any sample, point by "
        f"point. Intervals: 95 %, over episodes. Models see {_seen(settings)}.",
    ]
    notes = list(evaluation.notes)
    notes += [f"{count} slots left out: {why}" for why, count in sorted(scenes.left_out.items())]
    notes += [f"episode left out: {reason}" for reason in scenes.rejected.values()]
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines)


def _seen(settings: EvaluateSettings) -> str:
    history = "the past of the points" if settings.history else "no history"
    return f"{history} and {'' if settings.depth else 'no '}depth images"


def _section(section: Section, settings: EvaluateSettings, *, complete: bool) -> str:
    title = "All held-out episodes" if section.name == EVERYTHING else f"Group {section.name}"
    lines = [
        f"## {title}: {section.episodes} episodes, {section.slots} slots, {section.points} points",
        _headline(section, settings),
    ]
    for axes in (METRES, "uvz", "uv", "depth") if complete else (METRES,):
        if _known(section, axes, settings):
            lines += [f"### {_UNITS[axes].capitalize()}", _errors(section, settings, axes)]
    if complete:
        lines += ["### Within so many centimetres, bends, ends", _further(section, settings)]
    return "\n\n".join(lines)


def _headline(section: Section, settings: EvaluateSettings) -> str:
    axes = METRES if _known(section, METRES, settings) else "uvz"
    unit = "m" if axes == METRES else "uvz"
    header = ["ADE (" + unit + ")"]
    for which in ("top-1", f"best of {settings.samples}"):
        header += [f"{which}, {h} steps" for h in settings.horizons]
    compared = next(iter(section.relative.get((axes, "top1"), {})), None)
    relative = section.relative if compared is not None else {}
    ours = _ours(section)
    if relative:
        header += [f"{ours} is, top-1", f"best of {settings.samples}"]
    rows = []
    for name, means in section.means.items():
        cells = [name]
        for which in ("top1", "best"):
            cells += [_interval(means.get((axes, "ade", h, which))) for h in settings.horizons]
        if relative:
            cells += [_percent(relative[axes, which].get(name)) for which in ("top1", "best")]
        rows.append(cells)
    return table(header, rows)


def _ours(section: Section) -> str:
    compared = set().union(*(set(found) for found in section.relative.values()))
    return next((name for name in section.means if name not in compared), "")


def _known(section: Section, axes: str, settings: EvaluateSettings) -> bool:
    key = (axes, "ade", settings.horizons[0], "top1")
    return any(key in means and means[key].count for means in section.means.values())


def _errors(section: Section, settings: EvaluateSettings, axes: str) -> str:
    steps = " / ".join(map(str, settings.horizons))
    header = ["", "", *(f"{_TITLES[name]} {steps}" for name in PATH_ERRORS)]
    rows = []
    names = {"top1": "top-1", "best": f"best of {settings.samples}", "scene": "best, by scene"}
    for name, means in section.means.items():
        for which, label in names.items():
            rows.append(
                [name, label]
                + [
                    " / ".join(
                        _number(means.get((axes, error, h, which))) for h in settings.horizons
                    )
                    for error in PATH_ERRORS
                ]
            )
            if not _differs(means, axes, settings):
                break  # one sample only: all three are the same
    return table(header, rows)


def _differs(means: dict, axes: str, settings: EvaluateSettings) -> bool:
    key = (axes, "ade", settings.horizons[0])
    one, other = means.get((*key, "top1")), means.get((*key, "best"))
    return one is not None and other is not None and one.value != other.value


def _further(section: Section, settings: EvaluateSettings) -> str:
    h = settings.horizons[-1]
    header = ["", *(f"{cm} cm" for cm in PWT_CM), "PWT top-1", f"best of {settings.samples}",
              "bend, m", "true", "motion or end", "end off by"]  # fmt: skip
    header += [f"within {k:g} sigma ({expected_coverage(k):.0%})" for k in SIGMAS]
    rows = []
    for name, means in section.means.items():
        cells = [name]
        cells += [_share(means.get(("pwt", h, "top1", cm))) for cm in (*PWT_CM, "mean")]
        cells.append(_share(means.get(("pwt", h, "best", "mean"))))
        cells += [_number(means.get(("smooth", METRES, who)), 4) for who in ("predicted", "truth")]
        cells.append(_share(means.get(("done", "done_acc"))))
        cells.append(_number(means.get(("done", "done_end_step_mae")), 1))
        cells += [_share(means.get(("coverage", k))) for k in SIGMAS]
        rows.append(cells)
    return table(header, rows)


def latency_table(rows: Sequence[Row]) -> str:
    """Return median and 95th percentile of single forecasts; "" when none was timed."""
    timed = [row for row in rows if row.latency_s]
    if not timed:
        return ""
    cells = [
        [row.name, *(f"{1e3 * np.quantile(row.latency_s, q):.0f}" for q in (0.5, 0.95))]
        + [str(len(row.latency_s))]
        for row in timed
    ]
    return table(["one forecast, one sample", "median ms", "95 % ms", "forecasts"], cells)


def _study(row: Row, settings: EvaluateSettings) -> str:
    found: Study = row.study
    lines = [
        f"## {row.name}: one trace from {found.samples} samples",
        f"Learned, calibrated and chosen on {found.teaching} episodes, reported on the other "
        f"{found.reporting}. ADE over all steps; the gap is that between the first sample and the "
        f"best of {found.best_of}. Best rule on the former: {found.calibration.rule}.",
    ]
    rows = []
    for rule in ("top1", "best", *dict.fromkeys(key[0] for key in found.closed)):
        label = {"top1": "first sample", "best": f"best of {found.best_of}"}.get(rule, rule)
        cells = [label]
        for axes in (METRES, "uvz"):
            cells += [_interval(found.means.get((rule, axes)))]
            cells += [_percent(found.closed.get((rule, axes)), sign="")]
        rows.append(cells)
    lines.append(table(["rule", "ADE, m", "gap closed", "ADE, uvz", "gap closed"], rows))
    rows = [
        [f"{level:.0%}"]
        + [_percent(found.coverage.get((name, level)), sign="") for name in ("raw", "calibrated")]
        + [_number(found.coverage.get(("radius", level)))]
        for level in LEVELS
    ]
    lines.append(
        "Truth within the ball around the chosen trace, all valid steps; raw: that of a Gaussian "
        "with the samples' spread."
    )
    lines.append(table(["wanted", "raw", "calibrated", "mean radius, m"], rows))
    return "\n\n".join(lines)


def _number(mean: Mean | None, digits: int = 3) -> str:
    return "–" if mean is None or np.isnan(mean.value) else f"{mean.value:.{digits}f}"


def _interval(mean: Mean | None) -> str:
    if mean is None or np.isnan(mean.value):
        return "–"
    return f"{mean.value:.4f} [{mean.low:.4f}, {mean.high:.4f}]"


def _share(mean: Mean | None) -> str:
    return "–" if mean is None or np.isnan(mean.value) else f"{mean.value:.1%}"


def _percent(mean: Mean | None, sign: str = "+") -> str:
    if mean is None or np.isnan(mean.value):
        return "–"
    return f"{mean.value:{sign}.0%} [{mean.low:{sign}.0%}, {mean.high:{sign}.0%}]"
