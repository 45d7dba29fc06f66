# SPDX-License-Identifier: Apache-2.0
"""From forecasts and truth of some scenes to sums of errors.

Quantities (keys of the `Tally`), each a mean over points: ``(axes, error, horizon, which)`` with
``which`` "top1" (the first sample), "best" (the best sample of each point) or "scene" (the sample
that is best for the whole scene); ``("curve", axes, which, h)``: ADE of the first h steps;
``("pwt", horizon, which, cm)``: share of the valid steps within so many centimetres (as in
MolmoMotion), ``"mean"`` over `PWT_CM`; ``("smooth", axes, "predicted" | "truth")``;
``("done", name)`` and ``("coverage", sigmas)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mu0_core.evaluation.done_metrics import done_by_point
from mu0_core.evaluation.episodes.methods import Forecasts
from mu0_core.evaluation.episodes.scenes import Scene
from mu0_core.evaluation.episodes.settings import EvaluateSettings
from mu0_core.evaluation.episodes.tally import Tally
from mu0_core.evaluation.metrics import AXES, errors_at, smoothness
from mu0_core.evaluation.spread import spread
from mu0_core.geometry import camera

METRES = "metres"
PWT_CM = (1, 2, 5, 10, 20)
SIGMAS = (1.0, 2.0, 3.0)


@dataclass(frozen=True)
class Block:
    """N points of M scenes; S samples.

    Attributes:
        predicted: axes -> (S, N, H, c); truth: axes -> (N, H, c); valid: axes -> (N, H).
        owner: (N,) scene of each point.
        scenes: M.
        motion: (N, H) probability of motion, or None.
    """

    predicted: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    owner: np.ndarray
    scenes: int
    motion: np.ndarray | None


def make_block(scenes: Sequence[Scene], forecasts: Sequence[Forecasts]) -> Block:
    """Put scenes and what was forecast for them side by side; horizons are those forecast."""
    steps = forecasts[0].paths.shape[2]
    owner = np.repeat(np.arange(len(scenes)), [len(s) for s in scenes])
    truth = np.concatenate([s.truth[:, :steps] for s in scenes])
    valid = np.concatenate([s.valid[:, :steps] for s in scenes])
    steps = truth.shape[1]  # not more than there is truth
    paths = np.concatenate([f.paths[:, :, :steps] for f in forecasts], axis=1).astype(np.float64)
    known = np.concatenate([np.full(len(s), s.intrinsics is not None) for s in scenes])
    predicted = {name: paths[..., axes] for name, axes in AXES.items()}
    predicted[METRES] = np.concatenate(
        [in_metres(s, f.paths[:, :, :steps]) for s, f in zip(scenes, forecasts)], axis=1
    )
    true = {name: truth[..., axes] for name, axes in AXES.items()}
    true[METRES] = np.concatenate([in_metres(s, s.truth[:, :steps]) for s in scenes])
    motion = None
    if all(f.motion is not None for f in forecasts):
        motion = np.concatenate([f.motion[:, :steps] for f in forecasts])
    valids = dict.fromkeys(AXES, valid) | {METRES: valid & known[:, None]}
    return Block(predicted, true, valids, owner, len(scenes), motion)


def in_metres(scene: Scene, traces_uvz: np.ndarray) -> np.ndarray:
    """Return traces (..., 3) in the optical frame; zeros when the camera is not known."""
    if scene.intrinsics is None:
        return np.zeros(traces_uvz.shape)
    return camera.uvz_to_metres(traces_uvz.astype(np.float64), scene.intrinsics)


def score(block: Block, settings: EvaluateSettings, tally: Tally) -> None:
    """Add all quantities of a block; horizons beyond the forecast are left out."""
    for axes in (*AXES, METRES):
        predicted, truth, valid = (
            getattr(block, name)[axes] for name in ("predicted", "truth", "valid")
        )
        horizons = [h for h in settings.horizons if h <= valid.shape[1]]
        for horizon, errors in errors_at(predicted, truth, valid, horizons).items():
            for name, values in errors.items():
                _add_errors(tally, (axes, name, horizon), values, block)
        for who, paths in (("predicted", predicted[:1]), ("truth", truth[None])):
            values = smoothness(paths, valid)[0]
            tally.add(("smooth", axes, who), values, block.owner, block.scenes)
        if axes in ("uvz", METRES):
            _add_curve(tally, axes, predicted, truth, valid, block)
    _add_pwt(tally, block, settings)
    if block.motion is not None:
        for name, values in done_by_point(block.motion, block.valid["uvz"]).items():
            tally.add(("done", name), values, block.owner, block.scenes)
    if len(block.predicted[METRES]) > 1:
        _add_coverage(tally, block)


def _add_errors(tally: Tally, key: tuple, values: np.ndarray, block: Block) -> None:
    """Add the errors (S, N) of the first, the best of each point and the best of each scene."""
    tally.add((*key, "top1"), values[0], block.owner, block.scenes)
    tally.add((*key, "best"), values.min(axis=0), block.owner, block.scenes)
    known = ~np.isnan(values[0])
    sums = np.stack(
        [np.bincount(block.owner, np.where(known, v, 0), block.scenes) for v in values]
    )
    tally.add_sums((*key, "scene"), sums.min(0), np.bincount(block.owner, known, block.scenes))


def _add_curve(
    tally: Tally, axes: str, predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray, block
) -> None:
    distance = _distance(predicted, truth, valid).cumsum(axis=2)
    counts = valid.cumsum(axis=1)
    ade = np.where(counts > 0, distance / np.maximum(counts, 1), np.nan)
    for h in range(valid.shape[1]):
        for which, values in (("top1", ade[0, :, h]), ("best", ade[:, :, h].min(axis=0))):
            tally.add(("curve", axes, which, h + 1), values, block.owner, block.scenes)


def _add_pwt(tally: Tally, block: Block, settings: EvaluateSettings) -> None:
    truth, valid = block.truth[METRES], block.valid[METRES]
    distance = _distance(block.predicted[METRES], truth, valid)
    for horizon in (h for h in settings.horizons if h <= valid.shape[1]):
        mask = valid[:, :horizon]
        count = np.where(mask.any(axis=1), mask.sum(axis=1), np.nan)
        shares = {
            cm: ((distance[:, :, :horizon] <= cm / 100) & mask).sum(axis=2) / count
            for cm in PWT_CM
        }
        shares["mean"] = np.mean(list(shares.values()), axis=0)
        for cm, values in shares.items():
            for which, of_point in (("top1", values[0]), ("best", values.max(axis=0))):
                tally.add(("pwt", horizon, which, cm), of_point, block.owner, block.scenes)


def _add_coverage(tally: Tally, block: Block) -> None:
    """Count the valid steps whose truth lies within so many sigma of the samples' mean."""
    samples, valid = block.predicted[METRES], block.valid[METRES]
    distance = _distance(samples.mean(axis=0)[None], block.truth[METRES], valid)[0]
    sigma = spread(samples)
    for factor in SIGMAS:
        inside = np.where(valid, distance <= factor * sigma, np.nan)
        tally.add(("coverage", factor), inside, block.owner, block.scenes)


def _distance(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return distances (S, N, H), 0 where not valid."""
    return np.where(valid, np.linalg.norm(predicted - truth, axis=-1), 0)
