# SPDX-License-Identifier: Apache-2.0
"""Keys, values and point features of the frozen backbone, computed once for many slots.

The backbone never changes, so training reads its output from memory-mapped float16 files instead
of running it. A picture is kept once for all its sentences (their part follows it in a causal
prefix): some 350 kB per picture and 60 kB per sentence for the embedded profile. Filling can be
cut off and continued.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mu0_core.atomic_file import replace_file
from mu0_core.errors import ConfigError, DataError
from mu0_core.inference.language import InstructionTokenizer
from mu0_core.model.prefix import Prefix
from mu0_core.model.world_model import WorldModel
from mu0_core.simulation.snapshot_file import load_snapshot
from mu0_core.training.connector_file import squashed
from mu0_core.training.slots import TrainingSlots

_IMAGE, _LANGUAGE, _FEATURES, _INDEX, _DONE = (
    "image_key_values.npy", "language_key_values.npy", "point_features.npy", "index.npz",
    "done.json",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeatureCacheSettings:
    """How much is cached: at most ``max_snapshots``, drawn at random with ``seed``."""

    max_snapshots: int = 30_000
    batch_size: int = 8
    seed: int = 5

    def __post_init__(self) -> None:
        if self.max_snapshots < 1 or self.batch_size < 1:
            raise ConfigError(f"max_snapshots and batch_size must be positive: {self}")


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
                self.slot, self._picture = index["slot"], index["picture"]
                self.language_valid = index["language_valid"]
            self.rows_done = int(json.loads((folder / _DONE).read_text())["rows"])
            self._image = np.load(folder / _IMAGE, mmap_mode="r")
            self._language = np.load(folder / _LANGUAGE, mmap_mode="r")
            self._features = np.load(folder / _FEATURES, mmap_mode="r")
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"cannot read feature cache {folder}: {error}") from error
        if self.rows_done != len(self):
            raise DataError(f"{folder}: {self.rows_done} of {len(self)} rows are filled")

    def __len__(self) -> int:
        return len(self.slot)

    def batch(self, rows: np.ndarray) -> tuple[Prefix, Tensor]:
        """Return the prefix and the point features (B, N, C) of some rows, in float32."""
        picture = self._picture[rows]
        image = torch.from_numpy(self._image[picture])  # B L 2 P K c
        stored = torch.cat([image, torch.from_numpy(self._language[rows])], dim=3).float()
        language = torch.from_numpy(self.language_valid[rows])
        valid = torch.cat([language.new_ones(len(rows), image.shape[3]), language], dim=1)
        return Prefix.from_key_values(stored, valid), torch.from_numpy(
            self._features[picture]
        ).float()


@torch.no_grad()
def fill_feature_cache(
    folder: Path,
    model: WorldModel,
    tokenizer: InstructionTokenizer,
    slots: TrainingSlots,
    snapshots: Path,
    settings: FeatureCacheSettings,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureCache:
    """Fill a cache, or what is left of it, and open it.

    The backbone runs in bfloat16, whose rounding is of the size of the cache's own.

    Args:
        folder: of the cache; created when missing.
        model: with its final backbone and connector, which attends causally.
        tokenizer: of its backbone.
        slots: training slots.
        snapshots: folder that ``slots.files`` lie in.
        settings: how many of them, and in which order.
        on_progress: called with rows done and rows in all.

    Raises:
        DataError: the folder holds a cache of other slots.
        RequestError: an instruction is longer than the model reads.
        ShapeError: the backbone is bidirectional.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = np.random.default_rng(settings.seed).permutation(len(slots.files))
    shown = shown[: settings.max_snapshots]
    by_picture = np.split(np.arange(len(slots)), np.flatnonzero(np.diff(slots.snapshot)) + 1)
    chosen = [by_picture[k] for k in shown]
    slot, picture = np.concatenate(chosen), np.repeat(np.arange(len(shown)), [*map(len, chosen)])
    tokens, valid = padded_tokens(tokenizer, slots.instruction[slot])
    text, layers = model.sizes.text, len(model.backbone.language.layers)
    heads = (text.num_kv_heads, text.head_dim)
    shapes = {
        _IMAGE: (len(shown), layers, 2, model.backbone.tokens_side**2, *heads),
        _LANGUAGE: (len(slot), layers, 2, tokens.shape[1], *heads),
        _FEATURES: (len(shown), slots.query.shape[1], model.feature_width),
    }
    start = _rows_done(folder, slot, slots)
    mode = "r+" if start else "w+"
    image_kv, language_kv, features = (
        np.lib.format.open_memmap(folder / name, mode=mode, dtype=np.float16, shape=shape)
        for name, shape in shapes.items()
    )
    if not start:
        np.savez(folder / _INDEX, slot=slot, picture=picture, language_valid=valid.numpy(),
                 seed=slots.seed[slot])  # fmt: skip
    first = int(picture[start]) if start < len(slot) else len(shown)
    encoder = copy.deepcopy(model).bfloat16()
    for low in range(first, len(shown), settings.batch_size):
        high = min(low + settings.batch_size, len(shown))
        rows = slice(*np.searchsorted(picture, [low, high]))
        images = _images(slots, snapshots, shown[low:high], model.config.image_size)
        query = torch.from_numpy(slots.query[[s[0] for s in chosen[low:high]], :, :2])
        image = encoder.encode_image(images.bfloat16())
        prefix = encoder.encode_image_prefix(image, with_hidden=False)
        image_kv[low:high] = prefix.key_values().half().numpy()
        features[low:high] = encoder.point_features(image, query).float().numpy()
        past = prefix.select(torch.from_numpy(picture[rows] - low))
        full = encoder.extend_with_language(past, tokens[rows], valid[rows], with_hidden=False)
        language_kv[rows] = full.key_values()[:, :, :, len(prefix) :].half().numpy()
        _mark(folder, int(rows.stop))
        on_progress(int(rows.stop), len(slot))
    for array in (image_kv, language_kv, features):
        array.flush()
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


def _images(slots: TrainingSlots, snapshots: Path, index: np.ndarray, side: int) -> Tensor:
    paths = (snapshots / name for name in slots.files[index])
    return torch.stack([squashed(load_snapshot(path).rgb, side) for path in paths])


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
            )
        )
    if not same:
        raise DataError(f"{folder} caches other slots; delete it or use another output folder")
    return int(json.loads((folder / _DONE).read_text())["rows"])


def _mark(folder: Path, rows: int) -> None:
    replace_file(
        folder / _DONE, lambda temporary: temporary.write_text(json.dumps({"rows": rows}))
    )
