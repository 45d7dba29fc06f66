# SPDX-License-Identifier: Apache-2.0
"""Episodes as a map-style torch data set; all work is done in numpy by the modules beside it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from mu0_core.data.augment import AugmentSettings
from mu0_core.data.collate import collate
from mu0_core.data.episode import EpisodeReader
from mu0_core.data.sample import SampleSettings, TraceSample, build_sample
from mu0_core.data.sampling import draw_rows, eligible_rows, usable_slots
from mu0_core.data.seeding import draw_rng
from mu0_core.errors import DataError

MAX_REPLACEMENTS = 16
MAX_OPEN = 16  # episodes; each holds about nine files open
_LOG = logging.getLogger(__name__)


class TraceDataset(Dataset):
    """One item per usable slot; rows, instruction and augmentation are drawn anew each epoch.

    Attributes:
        rejected: episode directory -> why it is not used.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        settings: SampleSettings,
        *,
        history_len: int = 8,
        future_len: int = 32,
        augment: AugmentSettings | None = None,
        seed: int = 0,
        rank: int = 0,
    ) -> None:
        """Index the usable slots; broken episodes are logged and listed in ``rejected``.

        Raises:
            DataError: no episode has a usable slot.
        """
        self.settings, self.augment = settings, augment
        self._lengths = {"history_len": history_len, "future_len": future_len}
        self._seed, self._rank = seed, rank
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._readers: dict[Path, EpisodeReader] = {}  # last used last
        self._index: list[tuple[Path, int]] = []
        self.rejected: dict[Path, str] = {}
        for directory in map(Path, directories):
            try:
                slots = usable_slots(self._open(directory), settings.sampling)
            except DataError as error:
                self.rejected[directory] = str(error)
                _LOG.warning("episode not used: %s", error)
            else:
                self._index += [(directory, slot) for slot in slots]
        if not self._index:
            raise DataError(
                f"no usable slot in {len(directories)} episodes; broken: {self.rejected or 'none'}"
            )
        self._readers.clear()

    def __len__(self) -> int:
        return len(self._index)

    def set_epoch(self, epoch: int) -> None:
        """Draw differently from now on; also reaches workers that live on."""
        self._epoch.fill_(epoch)

    def __getitem__(self, item: int) -> TraceSample:
        """Return the sample of a slot; one that cannot be loaded is replaced by a random other.

        Raises:
            DataError: 16 replacements could not be loaded either.
        """
        epoch, reason = int(self._epoch), ""
        for attempt in range(MAX_REPLACEMENTS + 1):
            rng = draw_rng(self._seed, epoch, self._rank, item, attempt)
            chosen = item if attempt == 0 else int(rng.integers(len(self)))
            try:
                return self._load(*self._index[chosen], rng)
            except DataError as error:
                reason = str(error)
                _LOG.warning("sample %d replaced: %s", chosen, error)
        raise DataError(f"item {item} and {MAX_REPLACEMENTS} replacements failed; last: {reason}")

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_readers": {}}  # a memory map would travel as a copy

    def _load(self, directory: Path, slot_index: int, rng: np.random.Generator) -> TraceSample:
        episode, sampling = self._open(directory), self.settings.sampling
        slot = episode.slot(slot_index)
        rows = eligible_rows(slot, sampling, *episode.image_size)
        if not len(rows):
            raise DataError(f"{directory}: slot {slot_index} has no usable row any more")
        return build_sample(
            episode,
            slot_index,
            draw_rows(rows, sampling, rng),
            self.settings,
            instruction=episode.captions.draw(slot.frame, rng),
            augment=self.augment,
            rng=rng,
        )

    def _open(self, directory: Path) -> EpisodeReader:
        reader = self._readers.pop(directory, None)
        if reader is None:
            while len(self._readers) >= MAX_OPEN:
                del self._readers[next(iter(self._readers))]
            with_depth = self.settings.depth_log_range is not None
            reader = EpisodeReader(directory, with_depth=with_depth, **self._lengths)
        self._readers[directory] = reader
        return reader


def collate_tensors(samples: Sequence[TraceSample]) -> dict[str, torch.Tensor | list[str]]:
    """Return the batch of `collate` as tensors (``collate_fn`` of a torch data loader)."""
    return {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in collate(samples).items()
    }
