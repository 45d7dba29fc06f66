# SPDX-License-Identifier: Apache-2.0
"""The endless stream of training samples: sample number g is a function of (seed, g) alone.

Which slot it is, its rows, sentence and augmentation, its noise and flow time, and what is hidden
from the model: nothing depends on the process, the loader worker or what was drawn before. So a
training continues exactly from the number of its next sample, and two processes that share a batch
compute what one would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mu0_core.data.dataset import TraceDataset
from mu0_core.data.sample import TraceSample
from mu0_core.errors import ConfigError, DataError
from mu0_core.training.episodes.batch import EpisodeBatch, observe
from mu0_core.training.episodes.prompts import Prompts
from mu0_core.training.episodes.settings import LossSettings
from mu0_core.training.flow_sampling import draw_history_valid

_ORDER, _DRAWS = 1, 2  # branches of the seed


@dataclass(frozen=True)
class DrawnSample:
    """A sample of N points and its draws; shapes as in `EpisodeBatch`, without B."""

    sample: TraceSample
    noise: Tensor
    time: Tensor
    history_kept: Tensor
    depth_kept: bool
    replaced: bool


class SampleStream(Dataset):
    """Maps the running number of a sample to the sample; each epoch shows every slot once.

    Args:
        dataset: of seed and rank 0; its own epoch is not used.
        losses: probabilities of what is hidden, flow times.
        seed: of order and draws.
    """

    def __init__(self, dataset: TraceDataset, losses: LossSettings, seed: int) -> None:
        self.dataset, self.losses, self.seed = dataset, losses, seed
        self._order = lru_cache(maxsize=2)(self._new_order)

    def __getitem__(self, number: int) -> DrawnSample:
        """Return sample ``number`` of the stream.

        Raises:
            DataError: neither it nor one of its replacements can be loaded.
        """
        epoch, place = divmod(number, len(self.dataset))
        sample, attempts = self.dataset.draw(int(self._order(epoch)[place]), epoch)
        key = np.random.SeedSequence((self.seed, _DRAWS, number))
        generator = torch.Generator().manual_seed(int(key.generate_state(1, np.uint64)[0] >> 1))
        losses, points = self.losses, len(sample)
        return DrawnSample(
            sample,
            time=losses.flow_time.draw(1, generator)[0],
            depth_kept=float(torch.rand(1, generator=generator)) >= losses.depth_dropout,
            history_kept=draw_history_valid(
                1, points, losses.history_dropout, losses.history_point_dropout, generator
            )[0],
            noise=torch.randn(sample.ctrl_pts_future.shape, generator=generator),
            replaced=attempts > 0,
        )

    def _new_order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, _ORDER, epoch]).permutation(len(self.dataset))

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if k != "_order"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ = state
        self._order = lru_cache(maxsize=2)(self._new_order)


class Collator:
    """Drawn samples as an `EpisodeBatch` (``collate_fn`` of a torch data loader)."""

    def __init__(self, prompts: Prompts, history: bool) -> None:
        self._prompts, self._history = prompts, history

    def __call__(self, drawn: list[DrawnSample]) -> EpisodeBatch:
        """Return the batch; points are padded to the most of any sample."""
        seen, tensors, cut = observe([d.sample for d in drawn], self._prompts, self._history)
        hidden: dict[str, Tensor] = {}
        if seen.history is not None:
            hidden["history_kept"] = _padded([d.history_kept for d in drawn])
        if seen.depth_images is not None:
            hidden["depth_kept"] = torch.tensor([d.depth_kept for d in drawn])
        return EpisodeBatch(
            seen=replace(seen, **hidden),
            future_valid=tensors["valid_future"],
            cluster_ids=tensors["cluster_ids"],
            control_points=tensors["ctrl_pts_future"],
            target_valid=tensors["valid_kp"],
            noise=_padded([d.noise for d in drawn]),
            time=torch.stack([d.time for d in drawn]),
            replaced=sum(d.replaced for d in drawn),
            cut=cut,
        )


def _padded(rows: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


@dataclass(frozen=True, slots=True)
class Share:
    """Which samples of an update a process computes, in how many parts.

    Attributes:
        batch_size: samples of an update, over all processes and parts.
        parts: of each process.
        rank: of this process; world: number of processes.
    """

    batch_size: int
    parts: int = 1
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % (self.parts * self.world):
            raise ConfigError(
                f"batch_size {self.batch_size} cannot be split into accumulation {self.parts} "
                f"times {self.world} processes"
            )

    def numbers(self, draw: int, part: int) -> range:
        """Return the numbers of the samples of one part of batch ``draw``."""
        size = self.batch_size // (self.parts * self.world)
        first = draw * self.batch_size + (part * self.world + self.rank) * size
        return range(first, first + size)


class _Numbers(Sampler):
    def __init__(self, share: Share, first: int) -> None:
        self._share, self._first = share, first

    def __iter__(self) -> Iterator[list[int]]:
        draw = self._first
        while True:
            for part in range(self._share.parts):
                yield list(self._share.numbers(draw, part))
            draw += 1


class StreamLoader:
    """Batches of a process's share, prepared ahead by loader processes.

    Attributes:
        waited_s: seconds spent waiting for batches so far.
    """

    def __init__(
        self, stream: SampleStream, collator: Collator, share: Share, workers: int, prefetch: int,
        pin_memory: bool = False,
    ) -> None:  # fmt: skip
        self._stream, self._collator, self._share = stream, collator, share
        self._workers, self._prefetch, self._pin = workers, prefetch, pin_memory
        self._next: int | None = None
        self._batches: Iterator[EpisodeBatch] = iter(())
        self.waited_s = 0.0

    def parts(self, draw: int) -> list[EpisodeBatch]:
        """Return this process's parts of batch ``draw``; quick when asked for in order.

        Raises:
            DataError: samples cannot be loaded.
        """
        if draw != self._next:
            self._batches = self._loader(draw)
        started = time.monotonic()
        try:
            batches = [next(self._batches) for _ in range(self._share.parts)]
        except DataError as error:  # of a worker, with its traceback
            raise DataError(str(error).strip().splitlines()[-1]) from error
        self.waited_s += time.monotonic() - started
        self._next = draw + 1
        return batches

    def _loader(self, draw: int) -> Iterator[EpisodeBatch]:
        many = self._workers > 0
        return iter(
            DataLoader(
                self._stream,
                batch_sampler=_Numbers(self._share, draw),
                collate_fn=self._collator,
                num_workers=self._workers,
                prefetch_factor=self._prefetch if many else None,
                pin_memory=self._pin,
                worker_init_fn=start_worker,
            )
        )


def start_worker(number: int) -> None:
    """Keep a loader process to one thread: there are as many of them as wanted."""
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
