# SPDX-License-Identifier: Apache-2.0
"""Rules of selection with what they were taught: one trace per point from the samples of a scene.

What is learned from some episodes is tried out on others among them, so that no rule is judged by
what it has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mu0_core.evaluation.episodes.scenes import Scene
from mu0_core.evaluation.episodes.scores import in_metres
from mu0_core.geometry import camera
from mu0_core.inference.correction import PathCorrection, fit_correction
from mu0_core.inference.selection import (
    LearnedSelection,
    fit_selection,
    fuse,
    path_distances,
    sample_features,
    selection_weights,
)

_SHARPNESS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
_FOLDS = 5


@dataclass(frozen=True)
class Seen:
    """One scene with a camera, N points, S samples, H steps.

    Attributes:
        scene: whose these are.
        uvz: (S, N, H, 3) samples; metres: the same in the optical frame.
        query: (N, 3) metres.
        truth: (N, H, 3) metres; truth_uvz: alike; valid: (N, H) bool.
    """

    scene: Scene
    uvz: np.ndarray
    metres: np.ndarray
    query: np.ndarray
    truth: np.ndarray
    truth_uvz: np.ndarray
    valid: np.ndarray


def see(scene: Scene, paths: np.ndarray) -> Seen:
    """Return samples (S, N, H, 3) of a scene beside its truth."""
    steps = min(paths.shape[2], scene.truth.shape[1])
    uvz, truth = paths[:, :, :steps].astype(np.float64), scene.truth[:, :steps]
    metres, query, truth_m = (in_metres(scene, x) for x in (uvz, scene.query, truth))
    return Seen(scene, uvz, metres, query, truth_m, truth, scene.valid[:, :steps])


@dataclass(frozen=True)
class Chooser:
    """A rule with what it needs.

    Attributes:
        rule: of `selection`; learned: of the rule ``learned``; correction: of ``corrected``.
    """

    rule: str
    learned: LearnedSelection | None = None
    correction: PathCorrection | None = None

    def __call__(self, seen: Seen) -> np.ndarray:
        """Return one trace per point (N, H, 3) in metres."""
        return self.both(seen)[0]

    def both(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Return one trace per point (N, H, 3) in metres and as u, v, z."""
        weights = selection_weights(self.rule, seen.metres, self.learned)
        metres, uvz = fuse(weights, seen.metres), fuse(weights, seen.uvz)
        if self.correction is not None:
            metres = metres + self.correction(seen.metres, seen.query)
            lens = seen.scene.intrinsics
            pixels = camera.project(metres, lens)
            uv = camera.pixels_to_uv(pixels[..., :2], lens.width, lens.height)
            uvz = np.concatenate([uv, metres[..., 2:]], axis=-1)
        return metres, uvz


def teach(rule: str, teaching: Sequence[Seen], seed: int) -> Chooser:
    """Return a rule, taught if it is one that learns."""
    if rule == "learned":
        return Chooser(rule, learned=_learn(teaching))
    if rule == "corrected":
        metres, query, truth, valid = (
            np.concatenate([getattr(s, name) for s in teaching], axis=axis)
            for name, axis in (("metres", 1), ("query", 0), ("truth", 0), ("valid", 0))
        )
        return Chooser(rule, correction=fit_correction(metres, query, truth, valid, seed=seed))
    return Chooser(rule)


def try_out(chooser: Chooser, teaching: Sequence[Seen], seed: int) -> list[np.ndarray]:
    """Return the traces of the teaching scenes in metres, none by what was taught with it."""
    folders = sorted({s.scene.directory for s in teaching})
    if chooser.rule not in ("learned", "corrected") or len(folders) < 2:
        return [chooser(s) for s in teaching]
    order = np.random.default_rng([seed, 5]).permutation(len(folders))
    fold = {folders[k]: place % _FOLDS for place, k in enumerate(order)}
    others = {
        part: teach(chooser.rule, [s for s in teaching if fold[s.scene.directory] != part], seed)
        for part in set(fold.values())
    }
    return [others[fold[s.scene.directory]](s) for s in teaching]


def ade(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the mean distance (...,) over valid steps of (..., H, c); NaN without any."""
    distance = np.where(valid, np.linalg.norm(predicted - truth, axis=-1), 0).sum(axis=-1)
    count = valid.sum(axis=-1)
    return np.where(count > 0, distance / np.maximum(count, 1), np.nan)


def mean_error(chosen: Sequence[np.ndarray], seen: Sequence[Seen]) -> float:
    """Return the mean ADE of chosen traces over all points, in metres."""
    errors = [ade(c, s.truth, s.valid) for c, s in zip(chosen, seen, strict=True)]
    return float(np.nanmean(np.concatenate(errors)))


def _learn(teaching: Sequence[Seen]) -> LearnedSelection:
    features = [sample_features(s.metres) for s in teaching]
    errors = [ade(s.metres, s.truth, s.valid) for s in teaching]
    count = len(teaching[0].metres)
    scale = [path_distances(s.metres).sum(axis=(0, 1)) / (count * (count - 1)) for s in teaching]
    weights = fit_selection(
        np.concatenate(features, axis=1), np.concatenate(errors, axis=1), np.concatenate(scale)
    )
    choices = [LearnedSelection(tuple(map(float, weights)), k) for k in _SHARPNESS]

    def error(choice: LearnedSelection) -> float:
        chooser = Chooser("learned", learned=choice)
        return mean_error([chooser(s) for s in teaching], teaching)

    return min(choices, key=error)
