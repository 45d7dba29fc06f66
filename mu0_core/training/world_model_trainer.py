# SPDX-License-Identifier: Apache-2.0
"""Training of the trace expert on cached backbone features (μ0 paper).

The supervision is the control points of true, retargeted traces, in scaled deltas from the query
point. Points are dropped and their depth is jittered, because a camera does both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mu0_core.errors import ConfigError, DataError
from mu0_core.model.freeze import set_trainable
from mu0_core.model.noise import seeded_noise
from mu0_core.model.world_model import WorldModel
from mu0_core.training.feature_cache import FeatureCache
from mu0_core.training.flow_sampling import draw_time
from mu0_core.training.loop import TOTAL, LoopSettings
from mu0_core.training.losses import TrainingBatch, training_loss
from mu0_core.training.schedule import LearningRate
from mu0_core.training.slots import TrainingSlots
from mu0_core.training.trace_fit import TraceFit
from mu0_core.training.trace_geometry import to_optical
from mu0_core.training.train_state import Randomness

MOVING = 0.02  # a point moves when any coordinate of its trace changes by more
_EVALUATION_BATCH = 32


@dataclass(frozen=True, slots=True)
class WorldModelSettings:
    """What a training batch looks like.

    Attributes:
        batch_size: observations per step.
        keep_points_min: least share of points that stay in a training observation.
        depth_noise_m: standard deviation of the jitter of query depth.
        max_control: control points are clamped to this magnitude, in scaled deltas.
        evaluation_slots: held-out observations per evaluation.
    """

    batch_size: int = 24
    keep_points_min: float = 0.5
    depth_noise_m: float = 0.0015
    max_control: float = 2.5
    evaluation_slots: int = 192

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.evaluation_slots < 1 or not 0 < self.keep_points_min <= 1:
            raise ConfigError(f"world model training: sizes from 1, share in (0, 1]: {self}")


WORLD_MODEL_LOOP = LoopSettings(
    learning_rate=LearningRate(peak=6e-4, warmup_steps=150), weight_decay=1e-4, clip_norm=10.0
)


def delta_scale(slots: TrainingSlots, sample: int = 3000) -> tuple[float, float, float]:
    """Return the 90th percentile of |delta| per axis over moving points of a random sample.

    Raises:
        DataError: nothing moves.
    """
    chosen = np.random.default_rng(2).choice(len(slots), min(sample, len(slots)), replace=False)
    delta = np.abs(slots.trace[chosen] - slots.trace[chosen][:, :, :1])
    moving = delta.max(axis=(2, 3)) > MOVING
    if not moving.any():
        raise DataError("no point of the training data moves")
    scale = np.percentile(delta[moving].reshape(-1, 3), 90, axis=0)
    return tuple(float(x) for x in scale.astype(np.float32))


class WorldModelObjective:
    """The objective of `loop.train` for a world model.

    Args:
        model: with ``delta_scale``; set to training mode, its backbone frozen.
        slots: training slots; cache: backbone features of some of them.
        held_out: (M,) bool, slots for evaluation.

    Raises:
        DataError: the cache has no training or no held-out slot.
    """

    def __init__(
        self,
        model: WorldModel,
        slots: TrainingSlots,
        cache: FeatureCache,
        held_out: np.ndarray,
        settings: WorldModelSettings,
    ) -> None:
        if model.config.delta_scale is None:
            raise ConfigError("the world model's configuration has no delta_scale")
        self.model, self.settings = model, settings
        self._slots, self._cache = slots, cache
        held = held_out[cache.slot]
        self._train_rows, self._held_rows = np.flatnonzero(~held), np.flatnonzero(held)
        if not len(self._train_rows) or not len(self._held_rows):
            raise DataError(
                f"{len(self._train_rows)} training and {len(self._held_rows)} held-out slots have "
                "features; both are needed"
            )
        learning = set(set_trainable(model))
        self._parameters = {n: p for n, p in model.named_parameters() if n in learning}
        fit = TraceFit.for_model(model.config)
        self._smooth, self._basis = (
            torch.from_numpy(m).float() for m in (fit.smooth, fit.basis)
        )
        self._scale = torch.tensor(model.config.delta_scale)
        model.train()

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Return the parameters of the expert."""
        return self._parameters

    def losses(self, randomness: Randomness) -> dict[str, Tensor]:
        """Return flow matching, end of motion and rigidity of a random batch, and their sum."""
        size, generator = self.settings.batch_size, randomness.torch
        rows = self._train_rows[randomness.numpy.integers(len(self._train_rows), size=size)]
        batch = self.batch(rows, generator)
        noise = torch.randn(batch.control_points.shape, generator=generator)
        terms = training_loss(self.model, batch, noise, draw_time(size, generator))
        return {
            TOTAL: terms.total,
            "flow_matching": terms.flow_matching,
            "done": terms.done,
            "rigidity": terms.rigidity,
        }

    def batch(self, rows: np.ndarray, generator: torch.Generator | None) -> TrainingBatch:
        """Return the observations and targets of cache rows; without generator, undisturbed."""
        slots, index = self._slots, self._cache.slot[rows]
        prefix, features = self._cache.batch(rows)
        trace = torch.from_numpy(slots.trace[index])
        query = trace[:, :, 0].clone()
        valid = torch.from_numpy(slots.point_valid(index))
        if generator is not None:
            least = self.settings.keep_points_min
            share = least + (1 - least) * torch.rand(len(rows), 1, generator=generator)
            valid &= torch.rand(valid.shape, generator=generator) < share
            valid[:, 0] = True
            jitter = torch.randn(query.shape[:2], generator=generator)
            query[..., 2] += self.settings.depth_noise_m * jitter
        delta = (trace - trace[:, :, :1]) / self._scale
        control = torch.einsum("dk,bnkc->bndc", self._smooth, delta)
        limit, horizon = self.settings.max_control, self.model.config.future_len
        step = torch.arange(1, horizon + 1)
        moving = step <= torch.from_numpy(slots.num_steps[index])[:, None]
        return TrainingBatch(
            prefix=prefix,
            features=features,
            query=query,
            point_valid=valid,
            control_points=control.clamp(-limit, limit),
            target_valid=valid,
            future_valid=moving[:, None].expand(*valid.shape, horizon),
            cluster_ids=torch.from_numpy(slots.entity_ids[index]),
        )

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return displacement errors of one sample over moving points, in metres.

        ``ade_m`` and ``fde_m`` are means, ``ade_still_m`` is that of a forecast of no motion,
        ``done_accuracy`` the share of steps whose end of motion is right.
        """
        self.model.eval()
        try:
            rows = self._held_rows[: self.settings.evaluation_slots]
            parts = [
                self._errors(rows[k : k + _EVALUATION_BATCH])
                for k in range(0, len(rows), _EVALUATION_BATCH)
            ]
        finally:
            self.model.train()
        error, still, right = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        if not len(error):
            return {"done_accuracy": float(right.mean())}
        return {
            "ade_m": float(error.mean()),
            "fde_m": float(error[:, -1].mean()),
            "ade_still_m": float(still.mean()),
            "done_accuracy": float(right.mean()),
        }

    def _errors(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return errors (m, H) of the moving points, those of no motion, and done hits."""
        batch, index = self.batch(rows, None), self._cache.slot[rows]
        shape = batch.control_points.shape
        noise = seeded_noise([int(k) for k in index], 1, shape[1], shape[2])
        sample = self.model.sample(
            batch.prefix, batch.features, batch.query, point_valid=batch.point_valid, noise=noise
        )
        delta = torch.einsum("hd,bndc->bnhc", self._basis, sample.control_points[:, 0])
        start = batch.query[:, :, None].numpy()
        lens, true = self._slots.intrinsics[index], self._slots.trace[index]
        metres = to_optical(start + (delta * self._scale).numpy(), lens)
        true_m, start_m = to_optical(true, lens), to_optical(start, lens)
        moving = (np.abs(true - start).max(axis=(2, 3)) > MOVING) & batch.point_valid.numpy()
        error = np.linalg.norm(metres - true_m, axis=-1)[moving][:, 1:]
        still = np.linalg.norm(start_m - true_m, axis=-1)[moving][:, 1:]
        right = (sample.done_logits[:, 0] > 0) == batch.future_valid
        return error, still, right[batch.point_valid].numpy().ravel()
