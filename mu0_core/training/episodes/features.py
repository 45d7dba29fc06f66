# SPDX-License-Identifier: Apache-2.0
"""What the frozen backbone makes of an image, kept on disk: computed once, not in every epoch.

Image tokens, the map that point features are read from, and, where the sentence comes behind the
image and cannot change it, the keys and values of the image in the language model lie in one file
per image. It is named by the weights that made it and the pixels, so that trainings and data sets
share a folder and equal images a file. Only without colour changes, which would need another file
each time; depth images, whose adapters learn, are never kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from collections.abc import Callable, Sequence
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

_BATCH = 16
_DECIDES = (
    "vision_tower", "vision_feature_layers", "vision_position_dtype", "resize_imgs_with_padding",
    "scale_embeddings", "image_position", "image_position_scale", "dino_input_size",
    "dino_num_prefix_tokens", "prefix_attention", "rope_theta", "num_vlm_layers",
)  # fmt: skip


class FeatureFolder:
    """Features of images in a folder, for one set of weights; also used by loader processes.

    Args:
        folder: of all features.
        backbone: from `backbone_key`.
    """

    def __init__(self, folder: Path, backbone: str) -> None:
        self._folder = folder / backbone

    def path(self, image: np.ndarray) -> Path:
        """Return where the features of an (h, w, 3) uint8 image lie."""
        total = hashlib.blake2b(str(image.shape).encode(), digest_size=16)
        total.update(np.ascontiguousarray(image))
        name = total.hexdigest()
        return self._folder / name[:2] / f"{name[2:]}.npz"

    def __call__(self, image: np.ndarray) -> FrameFeatures:
        """Read the features of an image; raises `DataError` when they are missing or damaged."""
        path = self.path(image)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return FrameFeatures(arrays.pop("tokens"), arrays.pop("patch_map", None), **arrays)
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
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
    """Return a name for everything that decides what is kept of an image."""
    total = hashlib.sha256()
    values = dataclasses.asdict(model.config) | {"own_map": model.dino is not None}
    total.update(str([(name, values[name]) for name in (*_DECIDES, "own_map")]).encode())
    parts = ["backbone.vision.", "backbone.connector.", "dino."]
    if _keeps_prefix(model):
        parts.append("backbone.language.")
    for name, tensor in sorted(model.state_dict().items()):
        if name.startswith(tuple(parts)) and ".lora_" not in name:
            total.update(name.encode())
            total.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:16]


def _keeps_prefix(model: WorldModel) -> bool:
    config = model.config
    return config.prefix_attention == "causal" and not config.use_depth


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
        wanted = {folder.path(episode.images[k]): k for k in frames}
        missing = [(path, k) for path, k in wanted.items() if not path.is_file()]
        for first in range(0, len(missing), _BATCH):
            chosen = missing[first : first + _BATCH]
            side = model.config.image_size
            colours = [square_colour(episode.images[k], side) for _, k in chosen]
            for (path, _), arrays in zip(chosen, _encode(model, np.stack(colours), bfloat16)):
                with writing(path):
                    save_arrays(path, arrays)
        on_progress(done, len(mine))


def _encode(model: WorldModel, images: np.ndarray, bfloat16: bool) -> list[dict[str, np.ndarray]]:
    """Return what is kept of each of (B, 3, I, I) images."""
    device = next(model.parameters()).device
    shown = torch.from_numpy(images).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        image = model.encode_image(shown)
        found = {"tokens": image.tokens}
        if model.dino is not None:
            found["patch_map"] = model.images_dino_map(shown)
        elif model.config.vision_tower == "dinov2":
            found["patch_map"] = image.patch_map
        if _keeps_prefix(model):
            prefix = model.encode_image_prefix(image, with_hidden=False)
            found["key_values"] = prefix.key_values()
    halves = {name: value.half().cpu().numpy() for name, value in found.items()}
    return [{name: value[k] for name, value in halves.items()} for k in range(len(images))]
