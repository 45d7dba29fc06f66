# SPDX-License-Identifier: Apache-2.0
"""Everything a training needs to continue as if it had not been interrupted, on disk.

Tensors (parameters, average, the optimiser's moments, torch's random state) as safetensors, the
rest as JSON in its header, so that one atomic rename replaces the whole state. Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mu0_core.atomic_file import replace_file
from mu0_core.errors import DataError
from mu0_core.training.averaging import ParameterAverage
from mu0_core.training.disk import writing
from mu0_core.training.sharding import fill, like, whole

STATE_FILE = "training_state.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass
class Progress:
    """What changes from step to step besides tensors.

    Attributes:
        step: updates made; elapsed_s: seconds trained, over all continuations.
        update_s: of these, seconds in updates; waiting_s: of those, seconds without data.
        replaced: samples that could not be loaded; cut: instructions that were cut off.
        skipped: draws left out because loss or gradient was not finite.
        running: smoothed loss terms; metrics: of the last evaluation.
        history: one row per evaluation.
    """

    step: int = 0
    elapsed_s: float = 0.0
    skipped: int = 0
    running: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    update_s: float = 0.0
    waiting_s: float = 0.0
    replaced: int = 0
    cut: int = 0

    @property
    def draws(self) -> int:
        """Batches drawn so far."""
        return self.step + self.skipped

    @property
    def waiting_share(self) -> float:
        """Share of the time of updates that was spent without data."""
        return self.waiting_s / max(self.update_s, 1e-9)


@dataclass
class Randomness:
    """The two random streams of a training; nothing else may draw."""

    numpy: np.random.Generator
    torch: torch.Generator

    @classmethod
    def from_seed(cls, seed: int) -> Randomness:
        """Return fresh streams."""
        return cls(np.random.default_rng(seed), torch.Generator().manual_seed(seed))


def save_state(
    folder: Path,
    fingerprint: Mapping[str, object],
    parameters: Mapping[str, nn.Parameter],
    average: ParameterAverage | None,
    optimizer: torch.optim.AdamW,
    randomness: Randomness,
    progress: Progress,
    *,
    write: bool = True,
) -> None:
    """Write the state of a training; the one before stays when that fails.

    Args:
        folder: of the state file.
        fingerprint: settings that must not change.
        parameters, average, optimizer, randomness, progress: what is kept.
        write: False in the processes that only take part in gathering sharded tensors.

    Raises:
        DataError: the file cannot be written, for example because the disk is full.
    """
    tensors = {"random": randomness.torch.get_state()}
    for name, parameter in parameters.items():
        tensors[f"parameter.{name}"] = parameter.detach()
        if average is not None:
            tensors[f"average.{name}"] = average.values[name]
        for moment in _MOMENTS:
            if parameter in optimizer.state:
                tensors[f"{moment}.{name}"] = optimizer.state[parameter][moment]
    header = {
        "fingerprint": dict(fingerprint),
        "progress": vars(progress),
        "numpy": randomness.numpy.bit_generator.state,
    }
    ready = {}
    for name, tensor in tensors.items():
        full = whole(tensor.detach())
        if write:
            ready[name] = full.cpu().contiguous().clone()
    if write:
        state = {"state": json.dumps(header)}
        with writing(folder / STATE_FILE):
            replace_file(folder / STATE_FILE, lambda temporary: save_file(ready, temporary, state))


def load_state(
    folder: Path,
    fingerprint: Mapping[str, object],
    parameters: Mapping[str, nn.Parameter],
    average: ParameterAverage | None,
    optimizer: torch.optim.AdamW,
    randomness: Randomness,
) -> Progress | None:
    """Restore a training in place; None when there is nothing to restore.

    Raises:
        DataError: the state is damaged or belongs to other settings; nothing is guessed.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    # through JSON, so that tuples compare equal to the lists they became
    wanted, stored = json.loads(json.dumps(dict(fingerprint))), header["fingerprint"]
    changed = sorted(k for k in {*wanted, *stored} if wanted.get(k) != stored.get(k))
    if changed:
        raise DataError(
            f"{path} was written with other settings ({', '.join(changed)}); use the same command "
            "or another output folder"
        )
    progress = Progress(**header["progress"])
    _restore(tensors, parameters, average, optimizer, path)
    randomness.torch.set_state(tensors["random"])
    randomness.numpy.bit_generator.state = header["numpy"]
    return progress


@torch.no_grad()
def _restore(
    tensors: Mapping[str, Tensor],
    parameters: Mapping[str, nn.Parameter],
    average: ParameterAverage | None,
    optimizer: torch.optim.AdamW,
    path: Path,
) -> None:
    try:
        for name, parameter in parameters.items():
            fill(parameter, tensors[f"parameter.{name}"])
            if average is not None:
                fill(average.values[name], tensors[f"average.{name}"])
            if f"exp_avg.{name}" in tensors:
                first, second, step = (tensors[f"{moment}.{name}"] for moment in _MOMENTS)
                first, second = like(parameter, first), like(parameter, second)
                optimizer.state[parameter] = {
                    "exp_avg": first, "exp_avg_sq": second, "step": step
                }  # fmt: skip
    except (KeyError, RuntimeError) as error:
        raise DataError(f"{path} does not fit the model: {error}") from error
