# SPDX-License-Identifier: Apache-2.0
"""Errors on held-out episodes while a training runs, shared by its processes.

The same slots, points, sentences and noise each time: numbers differ only where the model does,
and not with the number of processes. Points move (the data says which), none is left out because
its trace is short, and depth is shown as in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mu0_core.data.dataset import TraceDataset
from mu0_core.data.evaluated_slots import evaluated_slots
from mu0_core.data.index import EpisodeIndex
from mu0_core.data.sample import TraceSample
from mu0_core.evaluation.done_metrics import done_errors
from mu0_core.evaluation.metrics import summarise
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.render import unnormalise
from mu0_core.training.episodes.batch import Observations, observe
from mu0_core.training.episodes.forecasting import sampled_paths
from mu0_core.training.episodes.prompts import Prompts
from mu0_core.training.episodes.settings import EvaluationSettings
from mu0_core.training.episodes.stream import start_worker

BEST = "ade_uvz"  # the lower the better


def chosen_slots(index: EpisodeIndex, settings: EvaluationSettings) -> EpisodeIndex:
    """Return the slots of an index that are evaluated; slots of an episode are in time order.

    Raises:
        DataError: there is none.
    """
    return evaluated_slots(index, settings.offsets, settings.batches * settings.batch_size)


@dataclass(frozen=True)
class _Result:
    """Forecasts (S, N, H, 3), truth (N, H, 3), validity (N, H), probability (N, H), query."""

    item: int
    predicted: np.ndarray
    truth: np.ndarray
    valid: np.ndarray
    probability: np.ndarray
    query: np.ndarray


class HeldOutEvaluation:
    """Evaluates a model on chosen slots.

    Args:
        dataset: of the chosen slots, every row of which may be drawn (``n_ctrl`` None).
        prompts: makes tokens.
        config: of the model, with scales.
        settings: how.
        workers: loader processes.
        accelerator: of this process.
    """

    def __init__(
        self,
        dataset: TraceDataset,
        prompts: Prompts,
        config: WorldModelConfig,
        settings: EvaluationSettings,
        workers: int,
        accelerator,
    ) -> None:
        self._items = _Items(dataset)
        self._prompts, self._config, self._settings = prompts, config, settings
        self._workers, self._accelerator = workers, accelerator

    def __call__(self, module: nn.Module) -> dict[str, float]:
        """Return the metrics of a `TraceTraining`, distributed or not, in all processes."""
        from accelerate.utils import gather_object

        training = module.training
        module.eval()
        try:
            with torch.no_grad():
                mine = [result for batch in self._batches() for result in self._run(module, batch)]
        finally:
            module.train(training)
        every = gather_object(mine) if self._accelerator.num_processes > 1 else mine
        unique = {result.item: result for result in every}
        return self._metrics([unique[k] for k in sorted(unique)])

    def _batches(self) -> DataLoader:
        """Return batches of this process; all processes have equally many, some of them twice."""
        world, size = self._accelerator.num_processes, self._settings.batch_size
        starts = list(range(0, len(self._items), size))
        mine = starts[self._accelerator.process_index :: world]
        if len(mine) < -(-len(starts) // world):
            mine.append(starts[0])
        rows = [list(range(k, min(k + size, len(self._items)))) for k in mine]
        return DataLoader(
            self._items,
            batch_sampler=rows,
            collate_fn=list,
            num_workers=self._workers,
            worker_init_fn=start_worker,
        )

    def _run(self, module: nn.Module, batch: Sequence[tuple[int, TraceSample]]) -> list[_Result]:
        samples = [sample for _, sample in batch]
        seen: Observations
        seen, tensors, _ = observe(samples, self._prompts, self._settings.history)
        seeds = [item for item, _ in batch]
        paths, probability = sampled_paths(
            module, seen, seeds, self._settings.samples, self._config, self._accelerator.device
        )
        truth = unnormalise(tensors["traj_future"][:, None], seen.query, self._config.delta_scale)
        if probability is None:
            probability = torch.full(tensors["valid_future"].shape, torch.nan)
        return [
            _Result(
                item,
                paths[k, :, :n].numpy(),
                truth[k, 0, :n].numpy(),
                tensors["valid_future"][k, :n].numpy(),
                probability[k, :n].numpy(),
                seen.query[k, :n].numpy(),
            )
            for k, (item, sample) in enumerate(batch)
            for n in [len(sample)]
        ]

    def _metrics(self, results: list[_Result]) -> dict[str, float]:
        predicted = np.concatenate([r.predicted for r in results], axis=1)
        truth, valid, probability, query = (
            np.concatenate([getattr(r, name) for r in results])
            for name in ("truth", "valid", "probability", "query")
        )
        horizon, samples = valid.shape[1], len(predicted)
        full = summarise(predicted, truth, valid, horizon)
        half = summarise(predicted, truth, valid, max(1, horizon // 2))
        still = summarise(np.repeat(query[None, :, None], horizon, 2), truth, valid, horizon)
        wanted = (
            BEST, f"minADE_{samples}_uvz", "fde_uvz", "dtw_uvz", "frechet_uvz", "ade_uv",
            "ade_depth",
        )  # fmt: skip
        metrics = {name: full[name] for name in wanted}
        metrics[f"{BEST}_{horizon // 2}"] = half[BEST]
        metrics["ade_uvz_still"] = still[BEST]
        if np.isfinite(probability).all():
            done = done_errors(probability, valid, np.ones(len(valid), bool))
            metrics["done_acc"] = done["done_acc"]
        return metrics


class _Items(Dataset):
    """Pairs of item and sample; the same ones each time."""

    def __init__(self, dataset: TraceDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, item: int) -> tuple[int, TraceSample]:
        return item, self._dataset.draw(item, 0)[0]
