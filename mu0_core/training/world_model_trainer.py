# SPDX-License-Identifier: Apache-2.0
"""Training of the trace expert on cached backbone features (μ0 paper).

The supervision is the control points of true, retargeted traces, in scaled deltas from the query
point. Few points of an observation are shown at a time and their depth is jittered, as the robot's
own selector and camera would. Most points never move; only some of those count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from mu0_core.errors import ConfigError, DataError
from mu0_core.model.freeze import set_trainable
from mu0_core.model.noise import seeded_noise
from mu0_core.model.world_model import WorldModel
from mu0_core.training.feature_cache import FeatureCache
from mu0_core.training.flow_time import FlowTime
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
        points: most points of a training observation, drawn at random, entities in turn, so that
            few points show all that is there.
        still_share: share of the resting points whose velocity counts.
        moving_control: a point whose trace stays within this magnitude, in scaled deltas, rests.
        time: flow times.
        depth_noise_m: standard deviation of the jitter of query depth.
        max_control: control points are clamped to this magnitude, in scaled deltas.
        evaluation_slots: held-out observations per evaluation.
        bfloat16: multiply in half the precision (weights, losses and optimiser stay float32).
    """

    batch_size: int = 40
    points: int = 16
    still_share: float = 0.25
    moving_control: float = 0.03
    time: FlowTime = field(default_factory=lambda: FlowTime(least=0.2, exponent=1.6))
    depth_noise_m: float = 0.0015
    max_control: float = 2.5
    evaluation_slots: int = 256
    bfloat16: bool = True

    def __post_init__(self) -> None:
        if min(self.batch_size, self.points, self.evaluation_slots) < 1:
            raise ConfigError(f"world model training: sizes start at 1: {self}")
        if not 0 <= self.still_share <= 1 or self.max_control <= 0 or self.depth_noise_m < 0:
            raise ConfigError(f"world model training: share in 0..1, lengths positive: {self}")


WORLD_MODEL_LOOP = LoopSettings(
    learning_rate=LearningRate(peak=1e-3, warmup_steps=150), weight_decay=1e-4, clip_norm=10.0
)


def delta_scale(slots: TrainingSlots, sample: int = 3000) -> tuple[float, float, float]:
    """Return the 90th percentile of |delta| per axis over moving points of a random sample.

    Raises:
        DataError: nothing moves, or not along every axis.
    """
    chosen = np.random.default_rng(2).choice(len(slots), min(sample, len(slots)), replace=False)
    delta = np.abs(slots.trace[chosen] - slots.trace[chosen][:, :, :1])
    moving = delta.max(axis=(2, 3)) > MOVING
    if not moving.any():
        raise DataError("no point of the training data moves")
    scale = np.percentile(delta[moving].reshape(-1, 3), 90, axis=0)
    if scale.min() <= 0:
        raise DataError(f"nothing in the training data moves along an axis: scale {scale}")
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
        self._smooth, self._basis = (torch.from_numpy(m).float() for m in (fit.smooth, fit.basis))
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
        time = self.settings.time.draw(size, generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.bfloat16):
            terms = training_loss(self.model, batch, noise, time)
        return {
            TOTAL: terms.total,
            "flow_matching": terms.flow_matching,
            "done": terms.done,
            "rigidity": terms.rigidity,
        }

    def batch(self, rows: np.ndarray, generator: torch.Generator | None) -> TrainingBatch:
        """Return the observations and targets of cache rows; without generator, undisturbed."""
        slots, settings, index = self._slots, self.settings, self._cache.slot[rows]
        prefix, features = self._cache.batch(rows)
        trace = torch.from_numpy(slots.trace[index])
        clusters = torch.from_numpy(slots.entity_ids[index])
        valid = torch.from_numpy(slots.point_valid(index))
        if generator is not None:
            picked = _entities_in_turn(clusters, valid, generator)[:, : settings.points]
            trace, features, clusters, valid = (
                torch.take_along_dim(x, picked.reshape(*picked.shape, *[1] * (x.ndim - 2)), dim=1)
                for x in (trace, features, clusters, valid)
            )
        delta = (trace - trace[:, :, :1]) / self._scale
        query, counted = trace[:, :, 0].clone(), valid
        if generator is not None:
            jitter = torch.randn(query.shape[:2], generator=generator)
            query[..., 2] += settings.depth_noise_m * jitter
            moving = delta.abs().amax(dim=(2, 3)) > settings.moving_control
            lucky = torch.rand(valid.shape, generator=generator) < settings.still_share
            counted = valid & (moving | lucky)
        control = torch.einsum("dk,bnkc->bndc", self._smooth, delta)
        limit, horizon = settings.max_control, self.model.config.future_len
        lasting = torch.arange(1, horizon + 1) <= torch.from_numpy(slots.num_steps[index])[:, None]
        return TrainingBatch(
            prefix=prefix,
            features=features,
            query=query,
            point_valid=valid,
            control_points=control.clamp(-limit, limit),
            target_valid=counted,
            future_valid=lasting[:, None].expand(*valid.shape, horizon),
            cluster_ids=clusters,
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


def _entities_in_turn(entity_ids: Tensor, valid: Tensor, generator: torch.Generator) -> Tensor:
    """Return orders (B, N) of points: a random one of each entity, roughly, then the second ones.

    Padding comes last.
    """
    key = torch.rand(valid.shape, generator=generator)
    same = entity_ids[:, :, None] == entity_ids[:, None]
    turn = (same & (key[:, None] < key[:, :, None])).sum(dim=2)
    jitter = 1.3 * torch.rand(valid.shape, generator=generator)
    return (turn + jitter + 1e3 * ~valid).argsort(dim=1)
