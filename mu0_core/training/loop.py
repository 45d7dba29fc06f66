# SPDX-License-Identifier: Apache-2.0
"""The training loop that all trainings share: draw, step, average, evaluate, checkpoint.

What is trained is an `Objective`. The loop owns the optimiser and all randomness; with a budget
in steps, an interrupted training ends with the same numbers as an uninterrupted one. How gradients
come about is left to `Processes`: one process, or many that hold the same model.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from mu0_core.errors import ConfigError, NonFiniteOutputError
from mu0_core.training.averaging import ParameterAverage
from mu0_core.training.schedule import Budget, LearningRate
from mu0_core.training.sharding import whole
from mu0_core.training.train_state import Progress, Randomness, load_state, save_state

_LOG = logging.getLogger(__name__)
_SMOOTHING = 0.98
TOTAL = "total"
Terms = dict[str, Tensor]


class Objective(Protocol):
    """What the loop trains."""

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Return the trainable parameters by name."""

    def evaluate(self) -> dict[str, float]:
        """Return metrics on held-out data, without touching the training's randomness."""


class Processes(Protocol):
    """Where updates are computed; every process runs the same loop and gets the same numbers."""

    main: bool
    """Whether this process writes files."""

    def gradients(self, objective: Objective, progress: Progress, randomness: Randomness) -> Terms:
        """Compute the gradients of a batch.

        Args:
            objective: what is trained; its gradients are empty.
            progress: so far; ``progress.draws`` numbers the batch. What it says of the data is
                brought up to date.
            randomness: streams of the training.

        Returns:
            detached scalars by name; ``total`` is what is minimised.
        """


class OneProcess:
    """The default: ``objective.losses(randomness)`` returns the terms of a fresh batch."""

    main = True

    def gradients(self, objective: Objective, progress: Progress, randomness: Randomness) -> Terms:
        """Compute the gradients of a batch."""
        terms = objective.losses(randomness)
        terms[TOTAL].backward()
        return {name: value.detach() for name, value in terms.items()}


ONE_PROCESS = OneProcess()


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How the loop optimises.

    Attributes:
        learning_rate: its schedule; betas, eps, weight_decay: of AdamW.
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
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if min(self.checkpoint_every, self.evaluate_every, self.max_skipped) < 1:
            raise ConfigError(f"checkpoint_every, evaluate_every, max_skipped start at 1: {self}")
        if self.clip_norm <= 0 or self.weight_decay < 0:
            raise ConfigError(f"clip_norm must be positive, weight_decay not negative: {self}")
        if not self.eps > 0 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"eps must be positive, betas in 0..1: {self}")

    def fingerprint(self) -> dict[str, object]:
        """Return what must not change while a training continues.

        Fields that older states do not know stand in it only when they differ from their default.
        """
        values = dataclasses.asdict(self)
        if self.eps == 1e-8:
            del values["eps"]
        if self.learning_rate.cosine:
            del values["learning_rate"]["cosine"]
        return values


def train(
    objective: Objective,
    settings: LoopSettings,
    budget: Budget,
    folder: Path,
    fingerprint: Mapping[str, object] | None = None,
    on_step: Callable[[Progress, float], None] = lambda progress, share: None,
    *,
    processes: Processes = ONE_PROCESS,
    averaging: bool = True,
    on_evaluation: Callable[[Progress], None] = lambda progress: None,
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
        processes: where gradients are computed; only the main one writes the state.
        averaging: keep, evaluate and return an average of the parameters instead of the last.
        on_evaluation: called after each evaluation, in all processes, while the model holds the
            parameters that were evaluated.

    Raises:
        DataError: the state in ``folder`` is damaged or of other settings, or cannot be written.
        NonFiniteOutputError: too many consecutive steps had no finite loss and gradient.
    """
    parameters = dict(objective.parameters)
    average = ParameterAverage(parameters) if averaging else None
    optimizer = _adamw(parameters, settings)
    randomness = Randomness.from_seed(settings.seed)
    fixed = {"loop": settings.fingerprint(), **(fingerprint or {})}
    state = (fixed, parameters, average, optimizer, randomness)
    progress = load_state(folder, *state) or Progress()
    before_s, started = progress.elapsed_s, time.monotonic()
    consecutive = 0
    while (share := budget.progress(progress.step, progress.elapsed_s)) < 1:
        rate = settings.learning_rate.at(progress.step, share)
        for group in optimizer.param_groups:
            group["lr"] = rate
        began = time.monotonic()
        optimizer.zero_grad()
        terms = processes.gradients(objective, progress, randomness)
        finite = _step(parameters, optimizer, settings.clip_norm, terms)
        progress.update_s += time.monotonic() - began
        progress.elapsed_s = before_s + time.monotonic() - started
        if not finite:
            consecutive += 1
            _skip(progress, consecutive, settings.max_skipped)
            continue
        consecutive = 0
        progress.step += 1
        if average is not None:
            average.update(progress.step)
        _smooth(progress, terms)
        if progress.step % settings.evaluate_every == 0:
            _evaluate(objective, average, progress, on_evaluation)
        if progress.step % settings.checkpoint_every == 0:
            save_state(folder, *state, progress, write=processes.main)
        on_step(progress, budget.progress(progress.step, progress.elapsed_s))
    _evaluate(objective, average, progress, on_evaluation)
    save_state(folder, *state, progress, write=processes.main)
    if average is not None:
        average.apply()
    return progress


def _step(
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    clip_norm: float,
    terms: Terms,
) -> bool:
    """Make one update of the gradients that are there; False, and nothing changed, if not finite.

    Loss and norm are those of all processes, so that all decide alike.
    """
    norm = whole(nn.utils.clip_grad_norm_(parameters.values(), clip_norm))
    if not bool(torch.isfinite(terms[TOTAL]) & torch.isfinite(norm)):
        optimizer.zero_grad()
        return False
    optimizer.step()
    return True


def _adamw(parameters: Mapping[str, nn.Parameter], settings: LoopSettings) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        parameters.values(),
        lr=settings.learning_rate.peak,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
    )


def _skip(progress: Progress, consecutive: int, most: int) -> None:
    """Count a batch without update; raises `NonFiniteOutputError` after too many in a row."""
    progress.skipped += 1
    _LOG.warning("update %d skipped: loss or gradient is not finite", progress.step + 1)
    if consecutive >= most:
        raise NonFiniteOutputError(
            f"{consecutive} consecutive updates without a finite loss and gradient after "
            f"update {progress.step}; lower the learning rate"
        )


def _smooth(progress: Progress, terms: Terms) -> None:
    values = torch.stack([value.float() for value in terms.values()]).tolist()  # one transfer
    for name, value in zip(terms, values, strict=True):
        old = progress.running.get(name, value)
        progress.running[name] = _SMOOTHING * old + (1 - _SMOOTHING) * value


def _evaluate(
    objective: Objective,
    average: ParameterAverage | None,
    progress: Progress,
    on_evaluation: Callable[[Progress], None],
) -> None:
    with nullcontext() if average is None else average.applied():
        progress.metrics = objective.evaluate()
        row = {"step": progress.step, **progress.running, **progress.metrics}
        if not progress.history or progress.history[-1]["step"] != progress.step:
            progress.history.append(row)
        on_evaluation(progress)
