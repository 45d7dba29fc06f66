# SPDX-License-Identifier: Apache-2.0
"""Fit the connector on recorded frames once, and keep the result beside the training."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mu0_core.inference.language import InstructionTokenizer
from mu0_core.model.images import prepare_images
from mu0_core.model.world_model import WorldModel
from mu0_core.simulation.layout import sample_layout
from mu0_core.simulation.recording_file import load_recording
from mu0_core.training.connector import ConnectorFit, ConnectorSettings, fit_connector
from mu0_core.training.scene_words import WORDS, word_of_body, words_in_cells
from mu0_core.training.slots import TrainingSlots


def squashed(rgb: np.ndarray, side: int) -> Tensor:
    """Return (3, side, side) in [0, 1] of an (h, w, 3) uint8 image, its aspect given up."""
    small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).permute(2, 0, 1).float() / 255


def word_embeddings(model: WorldModel, tokenizer: InstructionTokenizer) -> dict[str, Tensor]:
    """Return the mean token embedding (d,) of each of `WORDS` in the middle of a sentence."""
    table = model.backbone.language.embed_tokens.weight.detach()
    return {word: table[tokenizer.word(word)].mean(0) for word in WORDS}
