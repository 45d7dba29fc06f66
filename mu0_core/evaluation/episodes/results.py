# SPDX-License-Identifier: Apache-2.0
"""An evaluation as JSON: errors under ``models``, everything else beside it.

``models``: name -> axes -> error -> horizon -> ``{"top1": x, "top5": y, "ci": [[low, high],
[low, high]]}``, the intervals of top1 and top5; "top5" is the best of ``settings.samples``. What
is not known is null.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mu0_core.atomic_file import replace_file
from mu0_core.evaluation.episodes.evaluate import EVERYTHING, Evaluation, Row, Section
from mu0_core.evaluation.episodes.scores import PWT_CM, SIGMAS
from mu0_core.evaluation.episodes.settings import AXES, EvaluateSettings
from mu0_core.evaluation.episodes.study import Study
from mu0_core.evaluation.episodes.tally import Key, Mean
from mu0_core.evaluation.metrics import PATH_ERRORS
from mu0_core.training.disk import writing

_WHICH = {"top1": "top1", "best": "top5"}


def to_json(evaluation: Evaluation, facts: Mapping[str, object]) -> dict[str, object]:
    """Return the content of the file.

    Args:
        evaluation: the results.
        facts: further keys: command, data, models.
    """
    settings, whole = evaluation.settings, evaluation.sections[0]
    rows = evaluation.rows
    return {
        "models": models(whole, settings),
        **_counts(whole),
        "relative": _relative(whole),
        "per_scene": {n: _tree(m, settings, ("scene",)) for n, m in whole.means.items()},
        "pwt": {n: _pwt(m, settings) for n, m in whole.means.items()},
        "smoothness": {n: _smoothness(m) for n, m in whole.means.items()},
        "done": {n: found for n, m in whole.means.items() if (found := _done(m))},
        "coverage": {n: found for n, m in whole.means.items() if (found := _coverage(m))},
        "curve": {n: _curve(m) for n, m in whole.means.items()},
        "latency_s": {row.name: _latency(row) for row in rows if row.latency_s},
        "selection": {row.name: _study(row.study) for row in rows if row.study is not None},
        "groups": {
            s.name: {"models": models(s, settings), **_counts(s), "relative": _relative(s)}
            for s in evaluation.sections
            if s.name != EVERYTHING
        },
        "settings": dataclasses.asdict(settings),
        "notes": evaluation.notes,
        "left_out": evaluation.scenes.left_out,
        "rejected": {str(path): why for path, why in evaluation.scenes.rejected.items()},
        **facts,
    }


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write atomically; raises `DataError` when it cannot be written."""
    with writing(path):
        text = json.dumps(_clean(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def models(section: Section, settings: EvaluateSettings) -> dict[str, object]:
    """Return what stands under ``models``."""
    return {name: _tree(means, settings, tuple(_WHICH)) for name, means in section.means.items()}


def _tree(
    means: Mapping[Key, Mean], settings: EvaluateSettings, which: tuple[str, ...]
) -> dict[str, object]:
    tree: dict = {}
    for axes in AXES:
        for error in PATH_ERRORS:
            for h in settings.horizons:
                cell = [means.get((axes, error, h, w)) for w in which]
                if None in cell or not cell[0].count:
                    continue
                value: object = cell[0].value
                if which == tuple(_WHICH):
                    value = {_WHICH[w]: m.value for w, m in zip(which, cell)}
                    value["ci"] = [[m.low, m.high] for m in cell]
                tree.setdefault(axes, {}).setdefault(error, {})[str(h)] = value
    return tree


def _counts(section: Section) -> dict[str, int]:
    return {"episodes": section.episodes, "slots": section.slots, "points": section.points}


def _relative(section: Section) -> dict[str, object]:
    """Return axes -> row -> which -> relative difference of our first row to it."""
    found: dict = {}
    for (axes, which), rows in section.relative.items():
        for name, mean in rows.items():
            if mean.count:
                cell = {"value": mean.value, "ci": [mean.low, mean.high]}
                found.setdefault(axes, {}).setdefault(name, {})[_WHICH[which]] = cell
    return found


def _pwt(means: Mapping[Key, Mean], settings: EvaluateSettings) -> dict[str, object]:
    found: dict = {}
    for h in settings.horizons:
        for which, label in _WHICH.items():
            for cm in (*PWT_CM, "mean"):
                mean = means.get(("pwt", h, which, cm))
                if mean is not None and mean.count:
                    name = cm if cm == "mean" else f"{cm} cm"
                    found.setdefault(str(h), {}).setdefault(label, {})[name] = mean.value
    return found


def _smoothness(means: Mapping[Key, Mean]) -> dict[str, object]:
    return {
        axes: {who: means["smooth", axes, who].value for who in ("predicted", "truth")}
        for axes in AXES
    }


def _done(means: Mapping[Key, Mean]) -> dict[str, float]:
    return {key[1]: mean.value for key, mean in means.items() if key[0] == "done"}


def _coverage(means: Mapping[Key, Mean]) -> dict[str, float]:
    return {f"{k:g} sigma": means["coverage", k].value for k in SIGMAS if ("coverage", k) in means}


def _curve(means: Mapping[Key, Mean]) -> dict[str, object]:
    """Return axes -> which -> ADE of the first 1, 2, ... steps."""
    found: dict = {}
    for key, mean in means.items():
        if key[0] == "curve" and mean.count:
            found.setdefault(key[1], {}).setdefault(_WHICH[key[2]], []).append(mean.value)
    return found


def _latency(row: Row) -> dict[str, float]:
    p50, p95 = (float(np.quantile(row.latency_s, q)) for q in (0.5, 0.95))
    return {"p50": p50, "p95": p95, "forecasts": len(row.latency_s)}


def _study(study: Study) -> dict[str, object]:
    ade: dict = {}
    for (rule, axes), mean in study.means.items():
        cell: dict[str, object] = {"ade": mean.value, "ci": [mean.low, mean.high]}
        if (rule, axes) in study.closed:
            closed = study.closed[rule, axes]
            cell |= {"gap_closed": closed.value, "gap_closed_ci": [closed.low, closed.high]}
        ade.setdefault(axes, {})[rule] = cell
    coverage: dict = {}
    for (name, level), mean in study.coverage.items():
        coverage.setdefault(name, {})[f"{level:g}"] = mean.value
    return {
        "samples": study.samples,
        "best_of": study.best_of,
        "episodes_teaching": study.teaching,
        "episodes_reporting": study.reporting,
        "rule": study.calibration.rule,
        "floor_m": study.calibration.floor_m,
        "errors": ade,
        "coverage": coverage,
    }


def _clean(value: object) -> object:
    """Return a value with null for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(k): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
