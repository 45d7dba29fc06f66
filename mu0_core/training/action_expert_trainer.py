# SPDX-License-Identifier: Apache-2.0
"""Training of the embedded action expert on demonstrated chunks (flow matching, μ0 paper).

Its traces are forecasts of the frozen world model, mixed with true traces that carry
forecaster-like noise; without forecasts all are of the second kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from mu0_core.action_expert import motion_features as features
from mu0_core.action_expert.trace_policy import TracePolicy
from mu0_core.errors import ConfigError, DataError
from mu0_core.inference.language import InstructionEncoder
from mu0_core.training.flow_time import FlowTime
from mu0_core.training.forecast_cache import ForecastCache
from mu0_core.training.loop import TOTAL, LoopSettings
from mu0_core.training.schedule import LearningRate
from mu0_core.training.slots import TrainingSlots
from mu0_core.training.trace_fit import TraceFit
from mu0_core.training.trace_geometry import to_base
from mu0_core.training.trace_noise import TraceNoise
from mu0_core.training.train_state import Randomness

_EVALUATION_SEED = 0
_SLOTS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ActionExpertSettings:
    """What a training batch looks like.

    Attributes:
        batch_size: observations per step; each is denoised ``repeats`` times.
        forecast_share: share of the observations that surely show forecasts, where there are any.
        noise: on the traces of those that have none.
        time: flow times.
        evaluation_slots: held-out observations per evaluation.
        open_m: finger opening that counts as 1.
        std_min: least standard deviation of an action in its normalisation, metres.
    """

    batch_size: int = 64
    repeats: int = 2
    forecast_share: float = 0.75
    noise: TraceNoise = field(default_factory=TraceNoise)
    time: FlowTime = field(default_factory=lambda: FlowTime(least=0.1, exponent=1.5))
    evaluation_slots: int = 384
    open_m: float = 0.08
    std_min: float = 0.004

    def __post_init__(self) -> None:
        if min(self.batch_size, self.repeats, self.evaluation_slots) < 1:
            raise ConfigError(f"action expert training: sizes start at 1: {self}")
        if not 0 <= self.forecast_share <= 1 or self.open_m <= 0 or self.std_min <= 0:
            raise ConfigError(f"action expert training: share in 0..1, lengths > 0: {self}")


ACTION_EXPERT_LOOP = LoopSettings(
    learning_rate=LearningRate(peak=1e-3, warmup_steps=200),
    weight_decay=1e-3,
    clip_norm=1.0,
    checkpoint_every=150,
    evaluate_every=150,
)


@dataclass(frozen=True, slots=True)
class Observations:
    """A batch for `TracePolicy`: what `prefix` takes, and the demonstrated actions (B, T, 4)."""

    z: Tensor
    z_valid: Tensor
    state: Tensor
    motion: Tensor | None
    motion_valid: Tensor | None
    actions: Tensor


class Instructions:
    """Backbone states of all sentences of the training slots, padded to the longest."""

    def __init__(self, encode: InstructionEncoder, sentences: np.ndarray) -> None:
        unique, self._row = np.unique(sentences, return_inverse=True)
        states = [encode(str(sentence))[0] for sentence in unique]
        self._z = nn.utils.rnn.pad_sequence(states, batch_first=True)
        length = torch.tensor([len(state) for state in states])
        self._valid = torch.arange(self._z.shape[1]) < length[:, None]

    def of(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return states (B, L, d) and validity (B, L) of the slots at ``index``."""
        row = torch.from_numpy(self._row[index])
        return self._z[row], self._valid[row]


def true_control_points(slots: TrainingSlots, fit: TraceFit) -> np.ndarray:
    """Return control points (M, N, D, 3) of the true traces in the base frame, in metres.

    The traces pass through the world model's own smoothed spline in (u, v, z) first, so they are
    what a perfect forecast would be.
    """
    smooth, out = fit.basis @ fit.smooth, []
    for first in range(0, len(slots), _SLOTS_AT_ONCE):
        rows = slice(first, first + _SLOTS_AT_ONCE)
        trace = slots.trace[rows].astype(float)
        start = trace[:, :, :1]
        trace = start + np.einsum("hk,mnkc->mnhc", smooth, trace - start)
        metres = to_base(trace, slots.intrinsics[rows], slots.T_base_camera[rows])
        out.append(np.einsum("dh,mnhc->mndc", fit.exact, metres).astype(np.float32))
    return np.concatenate(out)


class ActionExpertObjective:
    """The objective of `loop.train` for an action expert.

    Args:
        policy: in training mode; its action statistics are set here.
        slots: training slots.
        control_m: of `true_control_points`.
        instructions: of the same slots.
        held_out: (M,) bool, slots for evaluation.
        forecasts: of some slots; held-out errors are of these alone then.

    Raises:
        DataError: there is no training or no held-out slot.
    """

    def __init__(
        self,
        policy: TracePolicy,
        slots: TrainingSlots,
        control_m: np.ndarray,
        instructions: Instructions,
        held_out: np.ndarray,
        settings: ActionExpertSettings,
        forecasts: ForecastCache | None = None,
    ) -> None:
        self.policy, self.settings = policy, settings
        self._slots, self._control_m, self._instructions = slots, control_m, instructions
        self._forecasts = forecasts
        known = np.arange(len(slots)) if forecasts is None else np.sort(forecasts.slot)
        self._train, self._held = np.flatnonzero(~held_out), known[held_out[known]]
        self._forecast_train = known[~held_out[known]] if forecasts is not None else self._train
        if not len(self._train) or not len(self._held):
            raise DataError(
                f"{len(self._train)} training and {len(self._held)} held-out slots; "
                "both are needed"
            )
        self._forecast_row = np.full(len(slots), -1)
        if forecasts is not None:
            self._forecast_row[forecasts.slot] = np.arange(len(forecasts.slot))
        actions = torch.from_numpy(slots.chunk[self._train])
        policy.action_mean.copy_(actions.mean(0))
        policy.action_std.copy_(actions.std(0, correction=0).clamp_min(settings.std_min))
        policy.train()

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Return all parameters of the policy."""
        return dict(self.policy.named_parameters())

    def losses(self, randomness: Randomness) -> dict[str, Tensor]:
        """Return the flow-matching loss of a random batch."""
        size, rng = self.settings.batch_size, randomness.numpy
        with_forecast = round(self.settings.forecast_share * size)
        index = np.concatenate(
            [
                rng.choice(self._forecast_train, with_forecast),
                rng.choice(self._train, size - with_forecast),
            ]
        )
        batch = self.observations(index, randomness.numpy)
        cache, valid = self.policy.prefix(
            batch.z, batch.z_valid, batch.state, batch.motion, batch.motion_valid
        )
        repeats = self.settings.repeats
        rows = size * repeats
        noise = torch.randn(rows, *batch.actions.shape[1:], generator=randomness.torch)
        time = self.settings.time.draw(rows, randomness.torch)
        return {TOTAL: self.policy.loss(cache, valid, batch.actions, noise, time, repeats)}

    def observations(self, index: np.ndarray, rng: np.random.Generator | None) -> Observations:
        """Return the slots at ``index``; without ``rng`` undisturbed, with the first forecast."""
        slots = self._slots
        tip = slots.tip_m[index]
        z, z_valid = self._instructions.of(index)
        state = features.state_features(
            torch.from_numpy(tip), torch.from_numpy(slots.gripper_m[index]), self.settings.open_m
        )
        motion = motion_valid = None
        if self.policy.config.use_trace:
            control, ends, valid = self._traces(index, rng)
            relative = torch.from_numpy((control - tip[:, None, None]).astype(np.float32))
            points, motion_valid = relative[:, :, 0], torch.from_numpy(valid)
            motion = features.motion_features(
                points, relative, torch.from_numpy(ends.astype(np.float32))
            )
            carried = features.carried_motion(points, relative, motion_valid)
            state = torch.cat([state, carried], dim=-1)
        actions = torch.from_numpy(slots.chunk[index])
        return Observations(z, z_valid, state, motion, motion_valid, actions)

    def _traces(
        self, index: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return control points (B, N, D, 3), end phases (B, N) and validity (B, N)."""
        slots, known = self._slots, self._forecasts
        control = self._control_m[index]
        valid = slots.point_valid(index)
        horizon = slots.trace.shape[2] - 1
        ends = np.repeat((slots.num_steps[index] / horizon)[:, None], valid.shape[1], axis=1)
        if rng is not None:
            control, ends, valid = self.settings.noise.disturb(control, ends, valid, rng)
        if known is None:
            return control, ends, valid
        row, sample = self._forecast_row[index], np.zeros(len(index), int)
        shown = row >= 0
        if rng is not None:
            sample = rng.integers(known.control_m.shape[1], size=len(index))
        control = np.where(shown[:, None, None, None], known.control_m[row, sample], control)
        return control, np.where(shown[:, None], known.valid_until[row, sample], ends), valid

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return errors of one sample on held-out slots.

        ``tip_1_mm``, ``tip_8_mm``, ``tip_16_mm``: median tip error at these steps (as far as the
        chunk reaches); ``gripper_error``: share of steps with the wrong open/closed state.
        """
        self.policy.eval()
        try:
            batch = self.observations(self._held[: self.settings.evaluation_slots], None)
            cache, valid = self.policy.prefix(
                batch.z, batch.z_valid, batch.state, batch.motion, batch.motion_valid
            )
            generator = torch.Generator().manual_seed(_EVALUATION_SEED)
            noise = torch.randn(batch.actions.shape, generator=generator)
            actions = self.policy.sample(cache, valid, noise)
        finally:
            self.policy.train()
        error_mm = (actions - batch.actions)[..., :3].norm(dim=-1) * 1000
        half = self.settings.open_m / 2
        wrong = (actions[..., 3] > half) != (batch.actions[..., 3] > half)
        steps = [k for k in (1, 8, 16) if k <= error_mm.shape[1]]
        errors = {f"tip_{k}_mm": float(error_mm[:, k - 1].median()) for k in steps}
        return {**errors, "gripper_error": float(wrong.float().mean())}
