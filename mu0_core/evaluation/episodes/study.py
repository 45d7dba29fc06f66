# SPDX-License-Identifier: Apache-2.0
"""How well one trace is chosen from many samples, and what their spread says of the error.

Half of the episodes teach (learned selection, factors of the spread, which rule is best), the
other half reports. The gap is that between the first sample and the best of S; a rule closes a
share of it. Errors are in metres over all forecast steps; slots without a camera take no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi

from mu0_core.errors import ConfigError, DataError
from mu0_core.evaluation.episodes.choosing import (
    Chooser,
    Seen,
    ade,
    mean_error,
    see,
    teach,
    try_out,
)
from mu0_core.evaluation.episodes.scenes import Scene
from mu0_core.evaluation.episodes.scores import METRES
from mu0_core.evaluation.episodes.settings import EvaluateSettings
from mu0_core.evaluation.episodes.tally import Bootstrap, Key, Mean, Tally
from mu0_core.inference.calibration import (
    LEVELS,
    SIGMA_LEVEL,
    Calibration,
    conformal_factors,
    sample_spread,
)
from mu0_core.inference.selection import RULES, check_rule
from mu0_core.training.episodes.sources import fingerprint

TEACHING_SHARE = 0.5
_FLOORS_M = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
_UVZ = "uvz"


@dataclass(frozen=True)
class Study:
    """What was found on the reporting episodes.

    Attributes:
        means: ``(rule, axes)``, ``("top1", axes)`` and ``("best", axes)`` -> mean ADE.
        closed: ``(rule, axes)`` -> share of the gap that the rule closes.
        calibration: taught by the others, with the rule that was best there.
        coverage: ``("raw" | "calibrated", level)`` -> share of the steps inside the ball, and
            ``("radius", level)`` -> its mean radius in metres.
        samples: S that rules choose from; best_of: samples of the best one.
        teaching, reporting: episodes.
    """

    means: dict[Key, Mean]
    closed: dict[Key, Mean]
    calibration: Calibration
    coverage: dict[Key, Mean]
    samples: int
    best_of: int
    teaching: int
    reporting: int


def wanted_rules(text: str) -> tuple[str, ...]:
    """Return the rules of ``--select``: "all", or names with commas.

    Raises:
        ConfigError: an unknown rule.
    """
    if text == "all":
        return RULES
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        check_rule(name)
    return names


def study(
    scenes: Sequence[Scene],
    paths: Sequence[np.ndarray],
    rules: Sequence[str],
    settings: EvaluateSettings,
    weights_sha256: str = "",
) -> Study:
    """Study the samples of one model.

    Args:
        scenes: that were forecast.
        paths: (S, N, H, 3) of each, u, v, z.
        rules: that are compared; the calibration takes the best of them.
        settings: its ``samples`` are those of the best.
        weights_sha256: of the model.

    Raises:
        ConfigError: fewer than two samples.
        DataError: fewer than two episodes with a camera.
    """
    if len(paths[0]) < 2:
        raise ConfigError("selection and calibration need at least 2 samples")
    seen = [see(s, p) for s, p in zip(scenes, paths, strict=True) if s.intrinsics is not None]
    teaching, reporting = _parts(seen, settings.seed)
    choosers = {rule: teach(rule, teaching, settings.seed) for rule in rules}
    tried = {rule: try_out(choosers[rule], teaching, settings.seed) for rule in rules}
    rule = min(rules, key=lambda name: mean_error(tried[name], teaching))
    calibration = _calibrate(teaching, tried[rule], choosers[rule], settings.seed, weights_sha256)
    best_of = min(settings.samples, len(paths[0]))
    boot = Bootstrap([s.scene.directory for s in reporting], settings.resamples, settings.seed)
    table = _report_errors(reporting, choosers, best_of)
    closed = {
        key: boot.closed(table["top1", key[1]], table[key], table["best", key[1]])
        for key in table
        if key[0] in rules
    }
    coverage = boot.means(_report_coverage(reporting, choosers[rule], calibration))
    return Study(
        boot.means(table), closed, calibration, coverage, len(paths[0]), best_of,
        calibration.episodes, boot.episodes,
    )  # fmt: skip


def _parts(seen: Sequence[Seen], seed: int) -> tuple[list[Seen], list[Seen]]:
    """Divide by episode, in an order that follows from the names and the seed."""
    folders = sorted({s.scene.directory for s in seen}, key=lambda p: (p.name, str(p)))
    if len(folders) < 2:
        raise DataError(
            f"selection and calibration need at least 2 episodes with cameras.npz, there are "
            f"{len(folders)}"
        )
    order = np.random.default_rng([seed, 50]).permutation(len(folders))
    count = max(1, round(TEACHING_SHARE * len(folders)))
    taught = {folders[k] for k in order[:count]}
    return (
        [s for s in seen if s.scene.directory in taught],
        [s for s in seen if s.scene.directory not in taught],
    )


def _calibrate(
    teaching: Sequence[Seen],
    chosen: Sequence[np.ndarray],
    chooser: Chooser,
    seed: int,
    weights_sha256: str,
) -> Calibration:
    """Find the factors, with the floor for which the calibrated balls are smallest."""
    distance = np.concatenate([_distance(c, s) for c, s in zip(chosen, teaching)])
    spread = np.concatenate([sample_spread(s.metres) for s in teaching])
    folders = sorted({s.scene.directory for s in teaching})
    found = []
    for floor_m in _FLOORS_M:
        factors = conformal_factors(distance / (spread + floor_m))
        radius = factors[LEVELS.index(SIGMA_LEVEL)] * (spread + floor_m)
        found.append((float(radius[~np.isnan(distance)].mean()), floor_m, factors))
    _, floor_m, factors = min(found, key=lambda one: one[0])
    return Calibration(
        rule=chooser.rule,
        floor_m=floor_m,
        factors=tuple(tuple(map(float, row)) for row in factors),
        samples=len(teaching[0].metres),
        weights_sha256=weights_sha256,
        data_fingerprint=fingerprint(folders),
        episodes=len(folders),
        seed=seed,
        learned=chooser.learned,
        correction=chooser.correction,
    )


def _distance(chosen: np.ndarray, seen: Seen) -> np.ndarray:
    """Return how far the truth is from a chosen trace (N, H), NaN if not known."""
    return np.where(seen.valid, np.linalg.norm(chosen - seen.truth, axis=-1), np.nan)


def _report_errors(
    reporting: Sequence[Seen], choosers: Mapping[str, Chooser], best_of: int
) -> dict[Key, np.ndarray]:
    tally = Tally()
    for one in reporting:
        owner = np.zeros(len(one.scene), int)
        truths = {METRES: one.truth, _UVZ: one.truth_uvz}
        chosen = {rule: chooser.both(one) for rule, chooser in choosers.items()}
        for k, (axes, samples) in enumerate(((METRES, one.metres), (_UVZ, one.uvz))):
            plain = ade(samples[:best_of], truths[axes], one.valid)
            tally.add(("top1", axes), plain[0], owner, 1)
            tally.add(("best", axes), plain.min(axis=0), owner, 1)
            for rule, paths in chosen.items():
                tally.add((rule, axes), ade(paths[k], truths[axes], one.valid), owner, 1)
    return tally.arrays()


def _report_coverage(
    reporting: Sequence[Seen], chooser: Chooser, calibration: Calibration
) -> dict[Key, np.ndarray]:
    tally = Tally()
    for one in reporting:
        owner = np.zeros(len(one.scene), int)
        distance, spread = _distance(chooser(one), one), sample_spread(one.metres)
        for level in LEVELS:
            radius = calibration.radius_m(spread, level)
            raw = chi.ppf(level, 3) * spread
            for name, values in (
                (("calibrated", level), distance <= radius),
                (("raw", level), distance <= raw),
                (("radius", level), radius),
            ):
                tally.add(name, np.where(one.valid, values, np.nan), owner, 1)
    return tally.arrays()
