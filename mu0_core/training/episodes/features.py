# SPDX-License-Identifier: Apache-2.0
"""What the frozen tower makes of a frame, kept on disk: computed once instead of in every epoch.

Image tokens and the map that point features are read from lie in one file per frame, named by the
weights that made them, the episode and the frame, so that several trainings can share a folder.
The language model still runs, because its sentence changes. Only without colour changes, which
would need another file each time; depth images, whose adapters learn, are never kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from mu0_core.atomic_file import save_arrays
from mu0_core.data.index import EpisodeIndex, Opening
from mu0_core.data.sample import FrameFeatures, square_colour
from mu0_core.errors import ConfigError, DataError
from mu0_core.model.world_model import WorldModel
from mu0_core.training.disk import writing
from mu0_core.training.episodes.settings import DataSettings
from mu0_core.training.episodes.sources import fingerprint

_BATCH = 16
_DECIDES = (
    "vision_tower", "vision_feature_layers", "vision_position_dtype", "resize_imgs_with_padding",
    "share_vision_features", "scale_embeddings", "image_position", "image_position_scale",
    "use_dino", "dino_input_size", "dino_num_prefix_tokens",
)  # fmt: skip


class FeatureFolder:
    """Features of frames in a folder, for one set of weights; also used by loader processes.

    Args:
        folder: of all features.
        backbone: from `backbone_key`.
    """

    def __init__(self, folder: Path, backbone: str) -> None:
        self._folder = folder / backbone

    def path(self, directory: Path, frame: int) -> Path:
        """Return where the features of a frame lie."""
        return self._folder / _episode_key(directory) / f"{frame:06d}.npz"

    def __call__(self, directory: Path, frame: int) -> FrameFeatures:
        """Read the features of a frame; raises `DataError` when they are missing or damaged."""
        path = self.path(directory, frame)
        try:
            with np.load(path, allow_pickle=False) as file:
                patch_map = file["patch_map"] if "patch_map" in file else None
                return FrameFeatures(file["tokens"], patch_map)
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"cannot read features {path}: {error}") from error


def check_cacheable(data: DataSettings, model: WorldModel) -> None:
    """Refuse to keep features that would not stay true.

    Raises:
        ConfigError: colours change, or the tower learns.
    """
    if data.augment.jitter > 0:
        raise ConfigError(
            f"data.feature_folder needs data.augment.jitter: 0, it is {data.augment.jitter}: "
            "features of a frame whose colours change cannot be kept"
        )
    config = model.config
    if not (config.freeze_vision_encoder or config.train_expert_only):
        raise ConfigError("data.feature_folder needs a frozen vision tower")


def backbone_key(model: WorldModel) -> str:
    """Return a name for everything that decides what the tower makes of an image."""
    total = hashlib.sha256()
    values = dataclasses.asdict(model.config)
    total.update(str([(name, values[name]) for name in _DECIDES]).encode())
    parts = ("backbone.vision.", "backbone.connector.", "dino.")
    for name, tensor in sorted(model.state_dict().items()):
        if name.startswith(parts) and ".lora_" not in name:
            total.update(name.encode())
            total.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:16]


@torch.no_grad()
def fill(
    folder: FeatureFolder,
    indices: Sequence[EpisodeIndex],
    opening: Opening,
    model: WorldModel,
    *,
    bfloat16: bool = False,
    rank: int = 0,
    world: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Compute what is missing of the features of all frames; processes share the episodes.

    Args:
        folder: to fill.
        indices: whose slots name the frames.
        opening: how episodes are read.
        model: on the device that computes.
        bfloat16: compute in bfloat16.
        rank: of this process; world: number of processes.
        on_progress: called with episodes done and episodes in all, of this process.

    Raises:
        DataError: a file cannot be written, for example because the disk is full.
    """
    slots: dict[Path, set[int]] = {}
    for directory, slot in (item for index in indices for item in index.items):
        slots.setdefault(directory, set()).add(slot)
    mine = sorted(slots)[rank::world]
    for done, directory in enumerate(mine, start=1):
        episode = opening.open(directory)
        frames = sorted({int(episode.frame_indices[slot]) for slot in slots[directory]})
        missing = [k for k in frames if not folder.path(directory, k).is_file()]
        for first in range(0, len(missing), _BATCH):
            chosen = missing[first : first + _BATCH]
            colours = [square_colour(episode.images[k], model.config.image_size) for k in chosen]
            for frame, arrays in zip(chosen, _encode(model, np.stack(colours), bfloat16)):
                path = folder.path(directory, frame)
                with writing(path):
                    save_arrays(path, arrays)
        on_progress(done, len(mine))


def _encode(model: WorldModel, images: np.ndarray, bfloat16: bool) -> list[dict[str, np.ndarray]]:
    """Return tokens and map of each of (B, 3, I, I) images."""
    device = next(model.parameters()).device
    shown = torch.from_numpy(images).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        image = model.encode_image(shown)
        found = {"tokens": image.tokens}
        if model.config.share_vision_features:
            found["patch_map"] = image.patch_map
        elif model.dino is not None:
            found["patch_map"] = model.images_dino_map(shown)
    halves = {name: value.half().cpu().numpy() for name, value in found.items()}
    return [{name: value[k] for name, value in halves.items()} for k in range(len(images))]


@lru_cache(maxsize=4096)
def _episode_key(directory: Path) -> str:
    return fingerprint([directory])[:16]
