# SPDX-License-Identifier: Apache-2.0
"""Pretrained parts saved by transformers fill the embedded profile under the right names."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import (
    Dinov2Config,
    Dinov2Model,
    LlamaConfig,
    LlamaForCausalLM,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from mu0_core.errors import ModelError, ModelIntegrityError
from mu0_core.model.checkpoint import load_exact
from mu0_core.model.layout import PRETRAINED_LANGUAGE, PRETRAINED_TOWER, stored_names
from mu0_core.model.loading import load_world_model, save_world_model
from mu0_core.model.pretrained import dinov2_tensors, huggingface_tensors, llama_tensors
from mu0_core.model.world_model import WorldModel


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


@pytest.mark.parametrize("adapted", [True, False])
def test_smolvlm_and_dinov2_fill_everything_that_is_frozen(release_like, tmp_path, adapted):
    config = replace(release_like.config, use_depth=adapted)
    text, vision, dino = (getattr(release_like.sizes, n) for n in ("text", "vision", "dino"))
    torch.manual_seed(6)
    vlm = SmolVLMForConditionalGeneration(
        SmolVLMConfig(
            text_config={
                "model_type": "llama", "hidden_size": text.hidden_size,
                "intermediate_size": text.intermediate_size, "num_hidden_layers": text.num_layers,
                "num_attention_heads": text.num_heads, "num_key_value_heads": text.num_kv_heads,
                "head_dim": text.head_dim, "vocab_size": text.vocab_size, "pad_token_id": 0,
            },
            vision_config={
                "hidden_size": vision.hidden_size, "intermediate_size": vision.intermediate_size,
                "num_hidden_layers": vision.num_layers, "num_attention_heads": vision.num_heads,
                "image_size": vision.image_size, "patch_size": vision.patch_size,
            },
            scale_factor=release_like.sizes.scale_factor, image_token_id=1, pad_token_id=0,
        )
    )  # fmt: skip
    vlm.save_pretrained(tmp_path / "vlm")
    points = Dinov2Model(
        Dinov2Config(
            hidden_size=dino.hidden_size, num_hidden_layers=dino.num_layers,
            num_attention_heads=dino.num_heads, image_size=dino.image_size,
            patch_size=dino.patch_size,
        )
    )  # fmt: skip
    points.save_pretrained(tmp_path / "dino")
    found = huggingface_tensors(config, tmp_path / "vlm", tmp_path / "dino")
    model = WorldModel(config, release_like.sizes)
    names = {
        name: stored
        for name, stored in stored_names(model).items()
        if name.startswith(("backbone.", "dino.")) and ".lora_" not in name
        and "depth_stem" not in name and "lm_head" not in name
    }  # fmt: skip
    load_exact(model, names, {"files": {k: found[k] for k in found if k in names.values()}})
    assert torch.equal(
        model.backbone.connector.proj.weight, vlm.model.connector.modality_projection.proj.weight
    )
    layer = model.backbone.vision.encoder["layers"][1].mlp.fc1
    weight = layer.base_layer.weight if adapted else layer.weight
    assert torch.equal(weight, vlm.model.vision_model.encoder.layers[1].mlp.fc1.weight)
    assert torch.equal(model.dino.layernorm.weight, points.layernorm.weight)


def test_a_folder_without_safetensors_is_refused(release_like, tmp_path):
    with pytest.raises(ModelError, match="holds no .safetensors"):
        huggingface_tensors(release_like.config, tmp_path, None)
