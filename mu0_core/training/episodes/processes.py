# SPDX-License-Identifier: Apache-2.0
"""One update by any number of processes, started by accelerate, with the numbers of one process.

Each computes its share of the batch. The terms of the loss are divided by the counts of the whole
batch, so that the sum of all shares is the loss of the batch. Gradients are averaged by DDP, or,
where the parameters are sharded (FSDP), by reduce-scatter.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from mu0_core.errors import ConfigError
from mu0_core.training.episodes.batch import EpisodeBatch
from mu0_core.training.episodes.module import TraceTraining, training_batch
from mu0_core.training.episodes.settings import RunSettings
from mu0_core.training.episodes.stream import StreamLoader
from mu0_core.training.loop import TOTAL, Objective, Terms
from mu0_core.training.losses import LossCounts
from mu0_core.training.train_state import Progress, Randomness

_EXTRA = "pip install 'mu0-ros[train]'"


def start_processes(run: RunSettings, folder: Path):
    """Return the ``accelerate.Accelerator`` of this process, which knows of the others.

    Args:
        run: its trackers; the precision is that of `TraceTraining`.
        folder: of the trackers' files.

    Raises:
        ConfigError: accelerate or a tracker is not installed.
    """
    try:
        from accelerate import Accelerator
        from accelerate.tracking import filter_trackers
    except ImportError as error:
        raise ConfigError(f"training on episodes needs accelerate: {_EXTRA}") from error
    known = []
    for name in run.trackers:
        try:
            found = filter_trackers([name], logging_dir=str(folder))
        except ValueError as error:
            raise ConfigError(f"run.trackers: {name!r} is not known: {error}") from error
        if not found:
            raise ConfigError(
                f"run.trackers: {name!r} is not installed; {_EXTRA}, or leave it out"
            )
        known.append(name)
    # without cpu=True, several processes on a machine without GPU would each train alone
    cpu = not torch.accelerator.is_available()
    if not cpu:
        torch.set_float32_matmul_precision("high")  # TF32, as the paper's training
    return Accelerator(cpu=cpu, mixed_precision="no", log_with=known or None, project_dir=folder)


def distribute(module: TraceTraining, accelerator) -> nn.Module:
    """Return the module as all processes share it: plain, in DDP, or sharded in place (FSDP2).

    FSDP shards what learns, with its gradients and moments, as one unit; what is frozen is held
    whole by each process.

    Raises:
        ConfigError: accelerate was asked for FSDP version 1.
    """
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() != "true":
        return accelerator.prepare(module)
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise ConfigError("FSDP version 1 is not supported: accelerate launch --fsdp_version 2")
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    module = module.to(accelerator.device)
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    frozen = {p for p in module.parameters() if not p.requires_grad}
    return fully_shard(module, mesh=mesh, ignored_params=frozen)


class ManyProcesses:
    """`mu0_core.training.loop.Processes` for batches of episodes.

    Args:
        accelerator: of this process.
        module: from `distribute`.
        loader: of this process's share.
    """

    def __init__(self, accelerator, module: nn.Module, loader: StreamLoader) -> None:
        self._accelerator, self._module, self._loader = accelerator, module, loader
        self.main: bool = accelerator.is_main_process

    def gradients(self, objective: Objective, progress: Progress, randomness: Randomness) -> Terms:
        """Compute the gradients of batch ``progress.draws``; nothing is drawn here."""
        waited = self._loader.waited_s
        parts = [part.to(self._accelerator.device) for part in self._loader.parts(progress.draws)]
        progress.waiting_s += self._loader.waited_s - waited
        counts = self._counts(parts, progress)
        total: dict[str, Tensor] = {}
        for part in parts:
            with nullcontext() if part is parts[-1] else self._unsynchronised():
                terms = self._module(part, counts)
                (terms[TOTAL] * self._accelerator.num_processes).backward()
            for name, value in terms.items():
                total[name] = total.get(name, 0) + value.detach()
        summed = self._accelerator.reduce(torch.stack(list(total.values())), "sum")
        return dict(zip(total, summed.unbind(), strict=True))

    def _counts(self, parts: list[EpisodeBatch], progress: Progress) -> LossCounts:
        """Return the denominators of the whole batch."""
        each = [LossCounts.of(training_batch(part)) for part in parts]
        replaced, cut = (sum(getattr(part, n) for part in parts) for n in ("replaced", "cut"))
        own = [sum(getattr(c, n) for c in each) for n in ("points", "steps", "clusters")]
        own += [own[0].new_tensor(replaced), own[0].new_tensor(cut)]
        points, steps, clusters, replaced, cut = self._accelerator.reduce(torch.stack(own), "sum")
        progress.replaced += int(replaced)
        progress.cut += int(cut)
        return LossCounts(points, steps, clusters)

    def _unsynchronised(self):
        if hasattr(self._module, "set_requires_gradient_sync"):  # FSDP2: accumulated in shards
            return nullcontext()
        return self._accelerator.no_sync(self._module)
