# SPDX-License-Identifier: Apache-2.0
"""Forecasts of a trained world model for the training slots: what the action expert will meet.

An action expert trained on true traces alone breaks on forecast ones. The snapshots had better be
others than those the world model was trained on, whose forecasts are too good.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from mu0_core.atomic_file import save_arrays
from mu0_core.errors import ConfigError, DataError, NonFiniteOutputError
from mu0_core.inference.runtime import EMBEDDED_NOISE_SCALE
from mu0_core.model.noise import seeded_noise
from mu0_core.model.render import end_phase
from mu0_core.model.world_model import WorldModel
from mu0_core.training.feature_cache import FeatureCache, FeatureCacheSettings
from mu0_core.training.slots import TrainingSlots
from mu0_core.training.trace_fit import TraceFit
from mu0_core.training.trace_geometry import to_base


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """Which snapshots get how many forecasts, and how many slots are computed at once."""

    features: FeatureCacheSettings = field(
        default_factory=lambda: FeatureCacheSettings(max_snapshots=6_000)
    )
    num_samples: int = 1
    noise_scale: float = EMBEDDED_NOISE_SCALE
    batch_size: int = 16

    def __post_init__(self) -> None:
        if min(self.num_samples, self.batch_size) < 1:
            raise ConfigError(f"num_samples and batch_size must be positive: {self}")


@dataclass(frozen=True, slots=True)
class ForecastCache:
    """Forecasts of R slots, S samples each.

    Attributes:
        slot: (R,) index into the training slots.
        control_m: (R, S, N, D, 3) control points in the base frame.
        valid_until: (R, S, N) phase in 0..1 of the end of motion.
        source: sha256 of the world model's weights.
    """

    slot: np.ndarray
    control_m: np.ndarray
    valid_until: np.ndarray
    source: str

    def save(self, path: Path) -> None:
        """Write atomically."""
        save_arrays(path, {
            "slot": self.slot, "control_m": self.control_m, "valid_until": self.valid_until,
            "source": np.array(self.source),
        })  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> ForecastCache:
        """Read what `save` wrote; raises `DataError` when the file is damaged or another."""
        try:
            with np.load(path, allow_pickle=False) as data:
                arrays = {k: data[k] for k in ("slot", "control_m", "valid_until")}
                return cls(**arrays, source=str(data["source"]))
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"cannot read forecast cache {path}: {error}") from error


@torch.no_grad()
def forecast_slots(
    model: WorldModel,
    cache: FeatureCache,
    slots: TrainingSlots,
    settings: ForecastSettings,
    source: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ForecastCache:
    """Forecast the slots of a cache as `WorldModelForecaster` would.

    Raises:
        ConfigError: the model has no ``delta_scale`` or no end-of-motion head.
        NonFiniteOutputError: the model produced NaN or infinity.
    """
    config = model.config
    if config.delta_scale is None or not config.trace_done_head:
        raise ConfigError("forecasts need a world model with delta_scale and trace_done_head")
    fit, scale = TraceFit.for_model(config), np.asarray(config.delta_scale)
    shape = (settings.num_samples, slots.query.shape[1], config.trace_bspline_n_ctrl)
    count = len(cache)
    control_m = np.zeros((count, *shape, 3), np.float32)
    valid_until = np.zeros((count, *shape[:2]), np.float32)
    for first in range(0, count, settings.batch_size):
        rows = np.arange(first, min(first + settings.batch_size, count))
        index = cache.slot[rows]
        prefix, features = cache.batch(rows)
        with torch.autocast("cpu", torch.bfloat16):
            samples = model.sample(
                prefix,
                features,
                torch.from_numpy(slots.query[index]),
                point_valid=torch.from_numpy(slots.point_valid(index)),
                num_samples=shape[0],
                noise=settings.noise_scale * seeded_noise([int(k) for k in index], *shape),
            )
        delta = samples.control_points.double().numpy() * scale
        if not np.all(np.isfinite(delta)):
            raise NonFiniteOutputError(f"forecast of slots {index.tolist()} is not finite")
        delta[..., 0, :] = 0.0  # a trace starts at its query point
        start = slots.query[index][:, None, :, None].astype(float)
        traces = np.einsum("hd,bsndc->bsnhc", fit.basis, delta) + start
        metres = to_base(traces, slots.intrinsics[index], slots.T_base_camera[index])
        control_m[rows] = np.einsum("dh,bsnhc->bsndc", fit.exact, metres)
        valid_until[rows] = end_phase(samples.done_logits)
        on_progress(int(rows[-1]) + 1, count)
    return ForecastCache(cache.slot, control_m, valid_until, source)
