# SPDX-License-Identifier: Apache-2.0
"""Keys, values and point features of the frozen backbone, computed once for many slots.

The backbone never changes, so training reads its output from memory-mapped float16 files instead
of running it: some 350 kB per slot for the embedded profile. Filling can be cut off and continued.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mu0_core.errors import ConfigError, DataError
from mu0_core.inference.language import InstructionTokenizer
from mu0_core.model.prefix import Prefix
from mu0_core.model.world_model import WorldModel
from mu0_core.simulation.recording_file import load_recording
from mu0_core.training.connector_file import squashed
from mu0_core.training.slots import TrainingSlots

_KEY_VALUES, _FEATURES, _INDEX, _DONE = (
    "key_values.npy", "point_features.npy", "index.npz", "done.json",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeatureCacheSettings:
    """How much is cached: at most ``max_slots``, drawn at random with ``seed``."""

    max_slots: int = 9000
    batch_size: int = 8
    seed: int = 5

    def __post_init__(self) -> None:
        if self.max_slots < 1 or self.batch_size < 1:
            raise ConfigError(f"max_slots and batch_size must be positive: {self}")


class FeatureCache:
    """Cached rows of some slots; ``slot[r]`` is the slot of row r.

    Args:
        folder: written by `fill_feature_cache`, complete.

    Raises:
        DataError: the cache is missing or incomplete.
    """

    def __init__(self, folder: Path) -> None:
        try:
            with np.load(folder / _INDEX, allow_pickle=False) as index:
                self.slot, self.language_valid = index["slot"], index["language_valid"]
            self.rows_done = int(json.loads((folder / _DONE).read_text())["rows"])
            self._key_values = np.load(folder / _KEY_VALUES, mmap_mode="r")
            self._features = np.load(folder / _FEATURES, mmap_mode="r")
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"cannot read feature cache {folder}: {error}") from error
        if self.rows_done != len(self):
            raise DataError(f"{folder}: {self.rows_done} of {len(self)} rows are filled")

    def __len__(self) -> int:
        return len(self.slot)

    def batch(self, rows: np.ndarray) -> tuple[Prefix, Tensor]:
        """Return the prefix and the point features (B, N, C) of some rows, in float32."""
        stored = torch.from_numpy(self._key_values[rows]).float()  # B L 2 P K c
        language = torch.from_numpy(self.language_valid[rows])
        image_tokens = stored.shape[3] - language.shape[1]
        valid = torch.cat([language.new_ones(len(rows), image_tokens), language], dim=1)
        layers = range(stored.shape[1])
        prefix = Prefix(
            tuple(stored[:, k, 0] for k in layers),
            tuple(stored[:, k, 1] for k in layers),
            valid,
            valid.long().cumsum(1) - 1,
        )
        return prefix, torch.from_numpy(self._features[rows]).float()


@torch.no_grad()
def fill_feature_cache(
    folder: Path,
    model: WorldModel,
    tokenizer: InstructionTokenizer,
    slots: TrainingSlots,
    recordings: Path,
    settings: FeatureCacheSettings,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureCache:
    """Fill a cache, or what is left of it, and open it.

    Args:
        folder: of the cache; created when missing.
        model: with its final backbone and connector.
        tokenizer: of its backbone.
        slots: training slots.
        settings: how many of them, and in which order.
        recordings: folder that ``slots.files`` lie in.
        on_progress: called with rows done and rows in all.

    Raises:
        DataError: the folder holds a cache of other slots.
        RequestError: an instruction is longer than the model reads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = np.random.default_rng(settings.seed).permutation(len(slots))[: settings.max_slots]
    tokens, valid = padded_tokens(tokenizer, slots.instruction[chosen])
    text = model.sizes.text
    length = model.backbone.tokens_side**2 + tokens.shape[1]
    layers = len(model.backbone.language.layers)
    points = slots.query.shape[1]
    shapes = {
        _KEY_VALUES: (len(chosen), layers, 2, length, text.num_kv_heads, text.head_dim),
        _FEATURES: (len(chosen), points, model.feature_width),
    }
    start = _rows_done(folder, chosen, slots)
    mode = "r+" if start else "w+"
    kv, features = (
        np.lib.format.open_memmap(folder / name, mode=mode, dtype=np.float16, shape=shape)
        for name, shape in shapes.items()
    )
    if not start:
        np.savez(folder / _INDEX, slot=chosen, language_valid=valid.numpy(),
                 seed=slots.seed[chosen], frame=slots.frame[chosen])  # fmt: skip
    for first in range(start, len(chosen), settings.batch_size):
        rows = slice(first, first + settings.batch_size)
        index = chosen[rows]
        image = model.encode_image(_images(slots, recordings, index, model.config.image_size))
        query = torch.from_numpy(slots.query[index, :, :2])
        prefix = model.encode_prefix(image, tokens[rows], valid[rows], with_hidden=False)
        pairs = zip(prefix.keys, prefix.values, strict=True)
        kv[rows] = torch.stack([torch.stack(pair, 1) for pair in pairs], 1).numpy()
        features[rows] = model.point_features(image, query).numpy()
        kv.flush(), features.flush()
        done = min(first + settings.batch_size, len(chosen))
        _mark(folder, done)
        on_progress(done, len(chosen))
    return FeatureCache(folder)


def padded_tokens(tokenizer: InstructionTokenizer, sentences: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return ids (M, T) and validity (M, T), padded on the right to the longest sentence."""
    known = {sentence: tokenizer(str(sentence)) for sentence in np.unique(sentences)}
    longest = max(map(len, known.values()))
    tokens = torch.zeros(len(sentences), longest, dtype=torch.long)
    valid = torch.zeros(len(sentences), longest, dtype=torch.bool)
    for row, sentence in enumerate(sentences):
        ids = known[sentence]
        tokens[row, : len(ids)], valid[row, : len(ids)] = ids, True
    return tokens, valid


def _images(slots: TrainingSlots, recordings: Path, index: np.ndarray, side: int) -> Tensor:
    names = slots.files[slots.recording[index]]
    frames = [
        load_recording(recordings / name).frames[frame]
        for name, frame in zip(names, slots.frame[index], strict=True)
    ]
    return torch.stack([squashed(frame.rgb, side) for frame in frames])


def _rows_done(folder: Path, chosen: np.ndarray, slots: TrainingSlots) -> int:
    """Return how many rows are there already; raises `DataError` for a cache of other slots."""
    if not (folder / _DONE).is_file():
        return 0
    with np.load(folder / _INDEX, allow_pickle=False) as index:
        same = all(
            np.array_equal(index[name], wanted)
            for name, wanted in (
                ("slot", chosen),
                ("seed", slots.seed[chosen]),
                ("frame", slots.frame[chosen]),
            )
        )
    if not same:
        raise DataError(f"{folder} caches other slots; delete it or use another output folder")
    return int(json.loads((folder / _DONE).read_text())["rows"])


def _mark(folder: Path, rows: int) -> None:
    temporary = folder / f".{_DONE}.{os.getpid()}"
    temporary.write_text(json.dumps({"rows": rows}))
    temporary.replace(folder / _DONE)
