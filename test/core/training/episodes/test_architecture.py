# SPDX-License-Identifier: Apache-2.0
"""Which model is built, what of it learns, and which differences from a checkpoint are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from mu0_core.errors import ConfigError, ModelIntegrityError
from mu0_core.model.loading import load_world_model, save_world_model
from mu0_core.training.episodes.architecture import META, draw_up
from mu0_core.training.episodes.building import build
from mu0_core.training.episodes.settings import DataSettings, FineTuneSettings, ModelSettings

SCALE = (0.5, 0.4, 0.1)


def built(settings, **how):
    how = {"history": True, "depth": True, "seed": 0} | how
    return build(draw_up(settings), SCALE, settings.model, settings.fine_tune, **how)


@pytest.fixture
def checkpoint(settings, tmp_path):
    """A checkpoint of the tiny model, all of whose weights are away from their start."""
    model = built(settings).model
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    save_world_model(model, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def from_checkpoint(settings, checkpoint, model=None, **fine_tune):
    return replace(
        settings,
        model=model or ModelSettings(),
        fine_tune=FineTuneSettings(start=str(checkpoint), **fine_tune),
    )


def test_a_seed_decides_the_weights(settings):
    one, two, other = (built(settings, seed=k).model.state_dict() for k in (0, 0, 1))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert not torch.equal(one["out_future.weight"], other["out_future.weight"])


def test_the_settings_reach_the_configuration(settings):
    model = ModelSettings(
        architecture="tiny", history_len=4, future_len=20, control_points=7, max_tokens=9,
        knots="uniform",
    )  # fmt: skip
    config = built(replace(settings, model=model)).model.config
    assert (config.history_len, config.future_len, config.trace_bspline_n_ctrl) == (4, 20, 7)
    assert (config.num_history_tokens, config.num_future_tokens) == (1, 1)
    assert (config.tokenizer_max_length, config.trace_knots) == (9, "uniform")
    assert (config.rigidity_loss_weight, config.depth_dropout_prob) == (5.0, 0.7)
    assert (config.trace_history_full_mask_prob, config.trace_history_kp_dropout_prob) == (
        0.5,
        0.3,
    )
    assert config.delta_scale == SCALE


def test_what_takes_no_part_does_not_learn(settings):
    def learning(**how):
        model = built(settings, **how).model
        return {n for n, p in model.named_parameters() if p.requires_grad}

    everything = learning()
    assert any(".lora_" in n for n in everything)
    assert {n for n in everything if n.startswith("backbone.")} == {
        n for n in everything if ".lora_" in n or "depth_stem" in n
    }
    assert everything - learning(history=False) == {
        "suffix.in_history.weight", "suffix.in_history.bias",
    }  # fmt: skip
    assert not any(n.startswith("backbone.") for n in learning(depth=False))


def test_learning_on_starts_with_the_weights_of_the_checkpoint(settings, checkpoint):
    settings = from_checkpoint(settings, checkpoint)
    model, stored = built(settings).model, load_world_model(checkpoint)
    expected = stored.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in model.state_dict().items())


def test_adapters_alone_learn_and_leave_the_layout_of_the_checkpoint(settings, checkpoint):
    settings = from_checkpoint(settings, checkpoint, lora_rank=2)
    result = built(settings)
    learning = {n for n, p in result.model.named_parameters() if p.requires_grad}
    assert learning and all(n.startswith("expert.layers.") and ".lora_" in n for n in learning)
    tensors = result.checkpoint_tensors(result.model.state_dict())
    plain = built(from_checkpoint(settings, checkpoint))
    expected = plain.checkpoint_tensors(plain.model.state_dict())
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[k], expected[k]) for k in tensors)  # nothing learned yet


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"future_len": 16}, r"future_len: wanted 16, checkpoint .* has 32; .*cannot be accepted"),
        ({"history_len": 4}, r"history_len: wanted 4, checkpoint .* has 8; .*cannot be accepted"),
        ({"control_points": 7}, r"trace_bspline_n_ctrl: wanted 7, checkpoint .* has 10"),
        (
            {"max_tokens": 20},
            r"tokenizer_max_length: wanted 20, .* has 48; --accept tokenizer_max",
        ),
        ({"knots": "uniform"}, r"trace_knots: wanted 'uniform', .* has 'bezier'; --accept"),
        ({"architecture": "embedded"}, r"vlm_model_name: wanted 'embedded', .* has 'tiny'"),
    ],
)
def test_drift_from_the_checkpoint_names_both_values(settings, checkpoint, model, message):
    with pytest.raises(ConfigError, match=message):
        draw_up(from_checkpoint(settings, checkpoint, ModelSettings(**model)))


def test_what_is_meant_can_be_accepted_where_the_tensors_allow(settings, checkpoint):
    model = ModelSettings(max_tokens=20, knots="uniform")
    accept = ("tokenizer_max_length", "trace_knots")
    config = built(from_checkpoint(settings, checkpoint, model, accept=accept)).model.config
    assert (config.tokenizer_max_length, config.trace_knots) == (20, "uniform")
    with pytest.raises(ConfigError, match=r"accept: \['future_len'\] unknown; allowed are tok"):
        draw_up(from_checkpoint(settings, checkpoint, accept=("future_len",)))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"target": "time"}, r"target: wanted 'arc_length', checkpoint .* has 'time'; --accept"),
        ({"prompt_probe": [1, 2]}, r"prompt: wanted \[.*\], checkpoint .* has \[1, 2\]; --accept"),
    ],
)
def test_drift_of_prompt_and_target_is_noticed(settings, checkpoint, meta, message):
    (checkpoint / META).write_text(json.dumps(meta))
    (checkpoint / "sha256sums.txt").unlink()
    with pytest.raises(ConfigError, match=message):
        draw_up(from_checkpoint(settings, checkpoint))
    (name,) = (n.replace("_probe", "") for n in meta)
    draw_up(from_checkpoint(settings, checkpoint, accept=(name,)))


def test_a_folder_gives_a_new_model_its_backbone(settings, checkpoint, tmp_path):
    config = json.loads((checkpoint / "config.json").read_text())
    config["vlm_model_name"] = "mine"  # no built-in tokenizer, no random backbone
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "sha256sums.txt").unlink()
    named = replace(settings, model=ModelSettings(architecture=str(checkpoint)))
    with pytest.raises(ConfigError, match="no tokenizer for the backbone 'mine'"):
        draw_up(named)
    tokenizer(tmp_path / "words")
    words = str(tmp_path / "words")
    named = replace(settings, model=ModelSettings(architecture=str(checkpoint), tokenizer=words))
    state, old = built(named).model.state_dict(), load_world_model(checkpoint).state_dict()
    same = {k for k in state if torch.equal(state[k], old[k])}
    assert {k for k in state if k.startswith(("backbone.language", "dino."))} <= same
    assert not {k for k in same if k.startswith("expert.layers") and "norm" not in k}
    stem = "backbone.depth_stem.weight"
    assert torch.equal(state[stem], state["backbone.vision.embeddings.patch_embedding.weight"])
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="frozen backbone of a new model would be random"):
        built(named)


def tokenizer(folder):
    """Write a word tokenizer in Hugging Face form."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "Task:": 1}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained(folder)


def test_what_is_no_architecture_is_refused(settings, tmp_path, checkpoint):
    with pytest.raises(ConfigError, match=r"holds no config.json: expected 'embedded', 'tiny' or"):
        draw_up(replace(settings, model=ModelSettings(architecture=str(tmp_path / "none"))))
    model = replace(settings.model, architecture="embedded")
    data = DataSettings(episodes=("x",), depth=True)
    with pytest.raises(ConfigError, match="the model reads no depth images"):
        draw_up(replace(settings, model=model, data=data))


def test_a_checkpoint_of_another_size_is_refused(settings, checkpoint):
    """The configuration agrees, the tensors do not."""
    sizes = json.loads((checkpoint / "backbone.json").read_text())
    sizes["text"]["intermediate_size"] = 72
    (checkpoint / "backbone.json").write_text(json.dumps(sizes))
    (checkpoint / "sha256sums.txt").unlink()
    with pytest.raises(ModelIntegrityError, match="of wrong shape"):
        built(from_checkpoint(settings, checkpoint))
