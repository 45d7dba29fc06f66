# SPDX-License-Identifier: Apache-2.0
"""Fit the connector on recorded frames once, and keep the result beside the training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mu0_core.atomic_file import replace_file
from mu0_core.errors import DataError
from mu0_core.model.images import prepare_images
from mu0_core.model.world_model import WorldModel
from mu0_core.simulation.layout import sample_layout
from mu0_core.simulation.snapshot_file import load_snapshot
from mu0_core.training.connector import ConnectorFit, ConnectorSettings, fit_connector
from mu0_core.training.scene_words import WORDS, word_of_body, words_in_cells
from mu0_core.training.slots import TrainingSlots


def squashed(rgb: np.ndarray, side: int) -> Tensor:
    """Return (3, side, side) in [0, 1] of an (h, w, 3) uint8 image, its aspect given up."""
    small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).permute(2, 0, 1).float() / 255


def word_embeddings(model: WorldModel, language: Path) -> dict[str, Tensor]:
    """Return the mean token embedding (d,) of each of `WORDS`, as in the middle of a sentence.

    Args:
        model: with the pretrained embedding table.
        language: folder of the converted language model, for its tokenizer.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(language, local_files_only=True)
    table = model.backbone.language.embed_tokens.weight.detach()
    ids = {w: tokenizer(f" {w}", add_special_tokens=False).input_ids for w in WORDS}
    return {word: table[tokens].mean(0) for word, tokens in ids.items()}


@torch.no_grad()
def fit_on_slots(
    model: WorldModel,
    slots: TrainingSlots,
    snapshots: Path,
    language: Path,
    settings: ConnectorSettings,
    body_names: Sequence[str],
) -> ConnectorFit:
    """Fit the connector of ``model`` on randomly drawn slots; the model is not changed.

    Args:
        model: with the pretrained backbone.
        slots: training slots.
        snapshots: folder that ``slots.files`` lie in.
        language: folder of the converted language model.
        settings: of the fit.
        body_names: by body id of the simulator.
    """
    rng = np.random.default_rng(settings.seed)
    count = min(settings.frames, len(slots))
    vision = model.backbone.vision
    mean, std = vision.feature_mean.clone(), vision.feature_std.clone()
    vision.feature_mean.zero_(), vision.feature_std.fill_(1.0)
    maps, cells = [], []
    try:
        for index in np.sort(rng.choice(len(slots), count, replace=False)):
            snapshot = load_snapshot(snapshots / slots.files[slots.snapshot[index]])
            image = squashed(snapshot.rgb, model.config.image_size)[None]
            maps.append(vision(prepare_images(image, model.config.image_size))[0])
            layout = sample_layout(snapshot.seed)
            words = [
                word_of_body(body_names[body] if body >= 0 else "", layout)
                for body in snapshot.query_body
            ]
            uv = slots.query[index, : slots.count[index], :2]
            cells.append(words_in_cells(uv, words, model.backbone.tokens_side))
    finally:
        vision.feature_mean.copy_(mean), vision.feature_std.copy_(std)
    scale = model.sizes.scale_factor
    return fit_connector(
        torch.stack(maps), cells, word_embeddings(model, language), scale, settings
    )


def save_connector(fit: ConnectorFit, path: Path) -> None:
    """Write the tensors and, in the header, the quality of the fit."""
    quality = json.dumps({"r2": fit.r2, "accuracy": fit.accuracy})
    tensors = {"mean": fit.mean, "std": fit.std, "weight": fit.weight.contiguous()}
    replace_file(path, lambda temporary: save_file(tensors, temporary, {"quality": quality}))


def load_connector(path: Path) -> ConnectorFit:
    """Read what `save_connector` wrote; raises `DataError` when it cannot."""
    try:
        with safe_open(str(path), framework="pt") as file:
            quality = json.loads(file.metadata()["quality"])
            tensors = {name: file.get_tensor(name) for name in ("mean", "std", "weight")}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"cannot read connector {path}: {error}") from error
    return ConnectorFit(**tensors, **quality)
