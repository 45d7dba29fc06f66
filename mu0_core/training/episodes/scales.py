# SPDX-License-Identifier: Apache-2.0
"""The normaliser of a training: measured on its data, or that of the checkpoint it starts from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mu0_core.data.index import Opening
from mu0_core.data.normalizer import Normalizer, measure
from mu0_core.errors import ConfigError
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.loading import CONFIG
from mu0_core.training.episodes.settings import FineTuneSettings

STATS = "normalizer_stats.json"
WARN_FACTOR = 1.5
_SAME = 1e-4  # relative; files hold more digits than a tensor


def measured_normalizer(
    episodes: Sequence[Path], opening: Opening, most: int, seed: int
) -> Normalizer:
    """Measure the normaliser on at most so many episodes, drawn at random.

    Raises:
        DataError: nothing moves, or no depth is known.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(episodes))[:most]
    readers = (opening.open(episodes[k]) for k in sorted(order))
    found = measure(readers, rng, with_depth=opening.with_depth)
    return replace(found, video_fraction=len(order) / len(episodes))


def choose_normalizer(
    measured: Normalizer,
    start: Path | None,
    config: WorldModelConfig,
    settings: FineTuneSettings,
    note: Callable[[str], None],
) -> Normalizer:
    """Return the normaliser to train with.

    Args:
        measured: on the data.
        start: checkpoint that is learned on from, or None.
        config: of the model, for its horizon.
        settings: keep or recompute, and what is accepted.
        note: is told when the data moves otherwise than the kept normaliser says.

    Raises:
        ConfigError: the checkpoint's files contradict each other or the settings.
    """
    if start is None or settings.normalizer == "recompute":
        return measured
    kept = kept_normalizer(start, config, settings.accept)
    for axis, old, new in zip("uvz", kept.delta_scale, measured.delta_scale, strict=True):
        ratio = new / old
        if not 1 / WARN_FACTOR <= ratio <= WARN_FACTOR:
            note(
                f"along {axis}, the data's 95th percentile displacement {new:.4g} is "
                f"{ratio:.2f} times that of the kept normaliser ({old:.4g}); consider "
                "--normalizer recompute"
            )
    return kept


def kept_normalizer(start: Path, config: WorldModelConfig, accept: Sequence[str]) -> Normalizer:
    """Return the normaliser of a checkpoint; the scales in its configuration decide.

    Raises:
        ConfigError: there are no scales, or the file beside them has others or another horizon.
    """
    scale = WorldModelConfig.from_json(start / CONFIG).delta_scale
    path = start / STATS
    if not path.is_file():
        if scale is None:
            raise ConfigError(f"{start}: neither {CONFIG} nor {STATS} holds a delta_scale")
        return Normalizer(*scale, history_len=config.history_len, future_len=config.future_len)
    stats = Normalizer.from_file(path)
    for name in ("history_len", "future_len"):
        there, wanted = getattr(stats, name), getattr(config, name)
        if there not in (None, wanted):
            raise ConfigError(f"{name}: wanted {wanted}, {path} was measured with {there}")
    if scale is None:
        return stats
    same = all(math.isclose(a, b, rel_tol=_SAME) for a, b in zip(scale, stats.delta_scale))
    if not same and "delta_scale" not in accept:
        raise ConfigError(
            f"delta_scale: {start / CONFIG} has {scale}, {path} has {stats.delta_scale}; "
            "--accept delta_scale to use the first"
        )
    x, y, z = scale
    return replace(stats, delta_scale_x=x, delta_scale_y=y, delta_scale_z=z)
