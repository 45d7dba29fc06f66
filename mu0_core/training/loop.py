# SPDX-License-Identifier: Apache-2.0
"""The training loop that both models share: draw, step, average, evaluate, checkpoint.

What is trained is an `Objective`. The loop owns the optimiser and all randomness; with a budget
in steps, an interrupted training ends with the same numbers as an uninterrupted one.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from mu0_core.errors import ConfigError, NonFiniteOutputError
from mu0_core.training.averaging import ParameterAverage
from mu0_core.training.schedule import Budget, LearningRate
from mu0_core.training.train_state import Progress, Randomness, load_state, save_state

_LOG = logging.getLogger(__name__)
_SMOOTHING = 0.98
TOTAL = "total"


class Objective(Protocol):
    """What the loop trains."""

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Return the trainable parameters by name."""

    def losses(self, randomness: Randomness) -> dict[str, Tensor]:
        """Return scalars of a fresh training batch; ``total`` is what is minimised."""

    def evaluate(self) -> dict[str, float]:
        """Return metrics on held-out data, without touching the training's randomness."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How the loop optimises.

    Attributes:
        learning_rate: its schedule; betas, weight_decay: of AdamW.
        clip_norm: largest gradient norm.
        seed: of all training randomness.
        checkpoint_every, evaluate_every: in updates.
        max_skipped: consecutive non-finite steps after which the training gives up.
    """

    learning_rate: LearningRate
    weight_decay: float
    clip_norm: float
    betas: tuple[float, float] = (0.9, 0.95)
    seed: int = 0
    checkpoint_every: int = 100
    evaluate_every: int = 300
    max_skipped: int = 20

    def __post_init__(self) -> None:
        if min(self.checkpoint_every, self.evaluate_every, self.max_skipped) < 1:
            raise ConfigError(f"checkpoint_every, evaluate_every, max_skipped start at 1: {self}")
        if self.clip_norm <= 0 or self.weight_decay < 0:
            raise ConfigError(f"clip_norm must be positive, weight_decay not negative: {self}")


def train(
    objective: Objective,
    settings: LoopSettings,
    budget: Budget,
    folder: Path,
    fingerprint: Mapping[str, object] | None = None,
    on_step: Callable[[Progress, float], None] = lambda progress, share: None,
) -> Progress:
    """Train until the budget is spent, continuing from ``folder`` when it holds a state.

    Afterwards the model holds the averaged parameters, and ``metrics`` is their evaluation. A
    finished training continues when it is given a larger budget, at the learning rate that the
    new schedule has there.

    Args:
        objective: what is trained.
        settings: of the optimisation.
        budget: how long.
        folder: of the state file.
        fingerprint: what besides ``settings`` must not change between continuations.
        on_step: called after each update with the progress and the spent share of the budget.

    Raises:
        DataError: the state in ``folder`` is damaged or of other settings.
        NonFiniteOutputError: too many consecutive steps had no finite loss and gradient.
    """
    parameters = dict(objective.parameters)
    average = ParameterAverage(parameters)
    optimizer = torch.optim.AdamW(
        parameters.values(),
        lr=settings.learning_rate.peak,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )
    randomness = Randomness.from_seed(settings.seed)
    fixed = {"loop": dataclasses.asdict(settings), **(fingerprint or {})}
    state = (fixed, parameters, average, optimizer, randomness)
    progress = load_state(folder, *state) or Progress()
    before_s, started = progress.elapsed_s, time.monotonic()
    consecutive = 0
    while (share := budget.progress(progress.step, progress.elapsed_s)) < 1:
        rate = settings.learning_rate.at(progress.step, share)
        for group in optimizer.param_groups:
            group["lr"] = rate
        terms = _update(objective, parameters, optimizer, settings.clip_norm, randomness)
        progress.elapsed_s = before_s + time.monotonic() - started
        if terms is None:
            progress.skipped += 1
            consecutive += 1
            _LOG.warning("update %d skipped: loss or gradient is not finite", progress.step + 1)
            if consecutive >= settings.max_skipped:
                raise NonFiniteOutputError(
                    f"{consecutive} consecutive updates without a finite loss and gradient after "
                    f"update {progress.step}; lower the learning rate"
                )
            continue
        consecutive = 0
        progress.step += 1
        average.update(progress.step)
        for name, value in terms.items():
            old = progress.running.get(name, value)
            progress.running[name] = _SMOOTHING * old + (1 - _SMOOTHING) * value
        if progress.step % settings.evaluate_every == 0:
            _evaluate(objective, average, progress)
        if progress.step % settings.checkpoint_every == 0:
            save_state(folder, *state, progress)
        on_step(progress, budget.progress(progress.step, progress.elapsed_s))
    _evaluate(objective, average, progress)
    save_state(folder, *state, progress)
    average.apply()
    return progress


def _update(
    objective: Objective,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    clip_norm: float,
    randomness: Randomness,
) -> dict[str, float] | None:
    """Make one update; None, and nothing changed, when it would not be finite."""
    terms = objective.losses(randomness)
    optimizer.zero_grad()
    terms[TOTAL].backward()
    norm = nn.utils.clip_grad_norm_(parameters.values(), clip_norm)
    if not bool(torch.isfinite(terms[TOTAL].detach()) & torch.isfinite(norm)):
        optimizer.zero_grad()
        return None
    optimizer.step()
    return {name: float(value.detach()) for name, value in terms.items()}


def _evaluate(objective: Objective, average: ParameterAverage, progress: Progress) -> None:
    with average.applied():
        progress.metrics = objective.evaluate()
    row = {"step": progress.step, **progress.running, **progress.metrics}
    if not progress.history or progress.history[-1]["step"] != progress.step:
        progress.history.append(row)
