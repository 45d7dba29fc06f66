# SPDX-License-Identifier: Apache-2.0
"""Pretrained parts saved by transformers fill the embedded profile under the right names."""

from __future__ import annotations

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, LlamaConfig, LlamaForCausalLM

from mu0_core.errors import ModelIntegrityError
from mu0_core.model.layout import PRETRAINED_LANGUAGE, PRETRAINED_TOWER
from mu0_core.model.loading import load_world_model, save_world_model
from mu0_core.model.pretrained import dinov2_tensors, llama_tensors


@pytest.fixture
def packages(tmp_path, embedded_like):
    """(Dinov2Model, LlamaForCausalLM) in folders ``dino`` and ``llama``."""
    text, vision = embedded_like.sizes.text, embedded_like.sizes.vision
    torch.manual_seed(5)
    dino = Dinov2Model(
        Dinov2Config(
            hidden_size=vision.hidden_size,
            num_hidden_layers=vision.num_layers + 1,
            num_attention_heads=vision.num_heads,
            image_size=vision.image_size,
            patch_size=vision.patch_size,
        )
    )
    llama = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=text.hidden_size,
            intermediate_size=text.intermediate_size,
            num_hidden_layers=text.num_layers,
            num_attention_heads=text.num_heads,
            num_key_value_heads=text.num_kv_heads,
            head_dim=text.head_dim,
            vocab_size=text.vocab_size,
            tie_word_embeddings=False,
        )
    )
    dino.save_pretrained(tmp_path / "dino")
    llama.save_pretrained(tmp_path / "llama")
    return dino, llama, tmp_path


def test_saved_models_fill_tower_and_language_model(packages, embedded_like):
    dino, llama, folder = packages
    external = {
        **dinov2_tensors(folder / "dino/model.safetensors", 3),
        **llama_tensors(folder / "llama/model.safetensors", 4),
    }
    save_world_model(
        embedded_like, folder / "own", frozen_prefixes=(PRETRAINED_TOWER, PRETRAINED_LANGUAGE)
    )
    model = load_world_model(folder / "own", external=external)
    tower, language = model.backbone.vision.tower, model.backbone.language
    expected = dino.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in tower.state_dict().items())
    expected = llama.model.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in language.state_dict().items())


def test_too_few_layers_are_refused(packages):
    _, _, folder = packages
    with pytest.raises(ModelIntegrityError, match="has 5 layers, 6 are needed"):
        llama_tensors(folder / "llama/model.safetensors", 6)
