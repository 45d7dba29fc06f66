# SPDX-License-Identifier: Apache-2.0
"""Episodes as a map-style torch data set; all work is done in numpy by the modules beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from mu0_core.data.augment import AugmentSettings
from mu0_core.data.collate import collate
from mu0_core.data.episode import EpisodeReader, Steps
from mu0_core.data.index import EpisodeIndex, Opening, index_episodes
from mu0_core.data.sample import FrameFeatures, SampleSettings, TraceSample, build_sample
from mu0_core.data.sampling import draw_rows, eligible_rows
from mu0_core.data.seeding import draw_rng
from mu0_core.errors import DataError

MAX_REPLACEMENTS = 16
MAX_OPEN = 16  # episodes; each holds about nine files open
_LOG = logging.getLogger(__name__)


class TraceDataset(Dataset):
    """One item per usable slot; rows, instruction and augmentation are drawn anew each epoch.

    Attributes:
        index: what is used of the episodes, and what is not.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        settings: SampleSettings,
        *,
        history_len: int = 8,
        future_len: int = 32,
        steps: Steps = Steps.ARC_LENGTH,
        augment: AugmentSettings | None = None,
        seed: int = 0,
        rank: int = 0,
        index: EpisodeIndex | None = None,
        features: Callable[[np.ndarray], FrameFeatures] | None = None,
    ) -> None:
        """Index the usable slots; broken episodes are logged and listed in ``rejected``.

        Args:
            directories: of the episodes.
            settings: how samples are built.
            history_len: h; future_len: H, steps of a sample.
            steps: which version of the paths is learned from.
            augment: colour jitter and depth noise.
            seed: of all draws; rank: also part of them.
            index: of these directories, if it is known already.
            features: reads those of an image, which they then take the place of.

        Raises:
            DataError: no episode has a usable slot.
        """
        self.settings, self.augment, self._features = settings, augment, features
        with_depth = settings.depth_log_range is not None
        self._opening = Opening(history_len, future_len, with_depth, steps)
        self._seed, self._rank = seed, rank
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._readers: dict[Path, EpisodeReader] = {}  # last used last
        if index is None:
            index = index_episodes(directories, self._opening, settings.sampling)
            for reason in index.rejected.values():
                _LOG.warning("episode not used: %s", reason)
        self.index = index
        if not index.items:
            raise DataError(
                f"no usable slot in {len(directories)} episodes; broken: "
                f"{index.rejected or 'none'}; left out: {index.unusable or 'none'}"
            )

    def __len__(self) -> int:
        return len(self.index.items)

    @property
    def rejected(self) -> dict[Path, str]:
        """Return the episode directories that are not used, and why."""
        return self.index.rejected

    def set_epoch(self, epoch: int) -> None:
        """Draw differently from now on; also reaches workers that live on."""
        self._epoch.fill_(epoch)

    def __getitem__(self, item: int) -> TraceSample:
        """Return the sample of a slot in this epoch; see `draw`."""
        return self.draw(item, int(self._epoch))[0]

    def draw(self, item: int, epoch: int) -> tuple[TraceSample, int]:
        """Return the sample of a slot in an epoch, and how many replacements it took.

        A slot that cannot be loaded is replaced by a random other one.

        Raises:
            DataError: 16 replacements could not be loaded either.
        """
        reason = ""
        for attempt in range(MAX_REPLACEMENTS + 1):
            rng = draw_rng(self._seed, epoch, self._rank, item, attempt)
            chosen = item if attempt == 0 else int(rng.integers(len(self)))
            try:
                return self._load(*self.index.items[chosen], rng), attempt
            except DataError as error:
                reason = str(error)
                _LOG.warning("sample %d replaced: %s", chosen, error)
        raise DataError(f"item {item} and {MAX_REPLACEMENTS} replacements failed; last: {reason}")

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_readers": {}}  # a memory map would travel as a copy

    def _load(self, directory: Path, slot_index: int, rng: np.random.Generator) -> TraceSample:
        episode, sampling = self.open(directory), self.settings.sampling
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
            features=self._features and self._features(episode.images[slot.frame]),
        )

    def open(self, directory: Path) -> EpisodeReader:
        """Return the reader of an episode; a few of them are kept open."""
        reader = self._readers.pop(directory, None)
        if reader is None:
            while len(self._readers) >= MAX_OPEN:
                del self._readers[next(iter(self._readers))]
            reader = self._opening.open(directory)
        self._readers[directory] = reader
        return reader


def collate_tensors(samples: Sequence[TraceSample]) -> dict[str, torch.Tensor | list[str]]:
    """Return the batch of `collate` as tensors (``collate_fn`` of a torch data loader)."""
    return {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in collate(samples).items()
    }
