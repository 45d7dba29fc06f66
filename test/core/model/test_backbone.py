# SPDX-License-Identifier: Apache-2.0
"""The backbone's parts against the modules of transformers that they stand for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, Dinov2Model, LlamaConfig, LlamaModel

from mu0_core.errors import ConfigError
from mu0_core.model.attention import rotation
from mu0_core.model.backbone import Backbone, Connector
from mu0_core.model.backbone_config import BackboneConfig, TextConfig, VisionConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.dinov2 import Dinov2Tower
from mu0_core.model.images import imagenet_normalise, prepare_images, sample_map
from mu0_core.model.llama import LanguageModel
from mu0_core.model.siglip import SiglipTower, position_bins


def randomise(module: torch.nn.Module) -> None:
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter))


def test_language_model_equals_llama():
    config = LlamaConfig(
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=50,
        rope_theta=1e5,
        attn_implementation="eager",
    )
    reference = LlamaModel(config).eval()
    randomise(reference)
    ours = LanguageModel(TextConfig.from_transformers(config), 3)
    ours.load_state_dict(reference.state_dict())
    tokens = torch.arange(2 * 9).reshape(2, 9)
    with torch.no_grad():
        expected = reference(tokens).last_hidden_state
        table = rotation(torch.arange(9)[None].expand(2, -1), 8, 1e5)
        hidden, cache = ours(ours.embed_tokens(tokens), table, None, causal=True)
        torch.testing.assert_close(ours.norm(hidden), expected, atol=1e-5, rtol=1e-5)
        skipped, same = ours(
            ours.embed_tokens(tokens), table, None, causal=True, with_hidden=False
        )
    assert skipped is None
    assert all(
        torch.equal(a, b)
        for kv, kv2 in zip(cache, same, strict=True)
        for a, b in zip(kv, kv2, strict=True)
    )


def smolvlm_vision(patches: int, table: int):
    transformers = pytest.importorskip("transformers.models.smolvlm.modeling_smolvlm")
    config = AutoConfig.for_model(
        "smolvlm_vision",
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=table * 4,
        patch_size=4,
    )
    reference = transformers.SmolVLMVisionTransformer(config).eval()
    randomise(reference)
    size = patches * 4
    config = WorldModelConfig(
        resize_imgs_with_padding=(size, size), vision_position_dtype="float32"
    )
    return reference, config


@pytest.mark.parametrize("patches", [5, 7])
def test_siglip_tower_equals_smolvlm(patches):
    """With as many patches as the table has rows, where all releases agree on the positions."""
    reference, config = smolvlm_vision(patches, table=patches)
    tower = SiglipTower(config, VisionConfig.from_transformers(reference.config)).eval()
    tower.load_state_dict(reference.state_dict())
    images = torch.rand(2, 3, patches * 4, patches * 4) * 2 - 1
    with torch.no_grad():
        expected = reference(images).last_hidden_state
        actual = tower(images).flatten(2).transpose(1, 2)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_position_bins_depend_on_the_dtype_where_the_release_does():
    single = position_bins(36, 27, torch.float32)
    half = position_bins(36, 27, torch.bfloat16)
    assert (single[20], single[28], half[20], half[28]) == (15, 21, 14, 20)
    assert (single != half).nonzero().flatten().tolist() == [20, 28]
    assert torch.equal(position_bins(9, 9, torch.float32), torch.arange(9))
    assert (single.diff() >= 0).all() and single.max() == 26


def test_dinov2_tower_standardises_the_chosen_hidden_states():
    sizes = VisionConfig(24, 96, num_layers=4, num_heads=2, image_size=56, patch_size=14)
    tower = Dinov2Tower(sizes, (1, 3)).eval()
    randomise(tower)
    reference: Dinov2Model = tower.tower
    assert len(reference.encoder.layer) == 3
    images = torch.rand(2, 3, 84, 84)
    with torch.no_grad():
        states = reference(imagenet_normalise(images), output_hidden_states=True).hidden_states
        expected = torch.cat([states[1], states[3]], dim=-1)[:, 1:]
        tower.feature_mean.normal_()
        tower.feature_std.uniform_(0.5, 2.0)
        actual = tower(images * 2 - 1)
    expected = (expected - tower.feature_mean) / tower.feature_std
    assert actual.shape == (2, 48, 6, 6)
    torch.testing.assert_close(actual.flatten(2).transpose(1, 2), expected, atol=1e-5, rtol=1e-5)


def test_connector_reads_patches_in_blocks():
    connector = Connector(2, 3, 2)
    patch_map = torch.randn(1, 2, 4, 6)
    tokens = connector(patch_map)
    assert tokens.shape == (1, 6, 3)
    row, column = 1, 2  # token 1·3 + 2 covers patches (2..3, 4..5)
    block = [patch_map[0, :, 2 * row + dr, 2 * column + dc] for dr in (0, 1) for dc in (0, 1)]
    torch.testing.assert_close(tokens[0, 5], connector.proj(torch.cat(block)))


def test_images_keep_their_aspect_and_are_padded_left_and_top():
    wide = torch.ones(1, 3, 20, 40)
    ready = prepare_images(wide, 32)
    assert ready.shape == (1, 3, 32, 32)
    assert (ready[..., :16, :] == -1).all() and (ready[..., 16:, :] == 1).all()
    square = torch.rand(1, 3, 32, 32)
    assert torch.equal(prepare_images(square, 32), square * 2 - 1)


@pytest.mark.parametrize(("padding", "corner"), [("zeros", 0.25), ("border", 1.0)])
def test_sampling_at_the_image_border(padding, corner):
    patch_map = torch.ones(1, 1, 4, 4)
    uv = torch.tensor([[[-1.0, -1.0], [0.0, 0.0], [-0.75, 0.75]]])
    values = sample_map(patch_map, uv, padding)[0, :, 0]
    torch.testing.assert_close(values, torch.tensor([corner, 1.0, 1.0]))


def test_sampling_hits_cell_centres():
    patch_map = torch.arange(16.0).reshape(1, 1, 4, 4)
    uv = torch.tensor([[[-0.75, -0.75], [0.25, -0.75], [-0.75, 0.25]]])
    assert sample_map(patch_map, uv, "zeros")[0, :, 0].tolist() == [0.0, 2.0, 8.0]


def test_sizes_survive_a_round_trip_and_the_auto_config():
    vlm = AutoConfig.for_model(
        "smolvlm",
        scale_factor=2,
        text_config={"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4},
        vision_config={"hidden_size": 48, "num_attention_heads": 4},
    )
    sizes = BackboneConfig.from_transformers(vlm, AutoConfig.for_model("dinov2"))
    assert sizes.text.head_dim == 16 and sizes.dino.intermediate_size == 4 * 768
    assert BackboneConfig.from_dict(sizes.to_dict()) == sizes
    with pytest.raises(ConfigError, match="unexpected"):
        BackboneConfig.from_dict({**sizes.to_dict(), "unexpected": 1})


@pytest.mark.parametrize(
    ("change", "field"),
    [({"num_vlm_layers": 9}, "num_vlm_layers"), ({"resize_imgs_with_padding": (36, 36)}, "scale")],
)
def test_sizes_that_do_not_fit_are_named(change, field):
    text = TextConfig(48, 64, 5, 6, 2, 8, 50)
    sizes = BackboneConfig(text, VisionConfig(32, 48, 2, 4, 24, 4), scale_factor=2)
    config = WorldModelConfig(num_vlm_layers=4, resize_imgs_with_padding=(32, 32))
    with pytest.raises(ConfigError, match=field):
        Backbone(replace(config, **change), sizes)
