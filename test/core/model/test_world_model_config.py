# SPDX-License-Identifier: Apache-2.0
"""Configurations: round trip, legacy fields, and errors that name the field."""

from __future__ import annotations

import json
import logging

import pytest

from mu0_core.errors import ConfigError
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.release import RELEASE_CONFIG


def test_round_trip_through_json(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(RELEASE_CONFIG.to_dict()))
    assert WorldModelConfig.from_json(path) == RELEASE_CONFIG


def test_legacy_fields_are_dropped_in_silence_and_unknown_ones_named(caplog):
    with caplog.at_level(logging.WARNING):
        WorldModelConfig.from_dict({"type": "smolvla", "optimizer_lr": 1e-4, "n_obs_steps": 1})
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        WorldModelConfig.from_dict({"trace_magic": 1})
    assert "trace_magic" in caplog.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trace_bspline_n_ctrl", 9),
        ("trace_bspline_ctrl_per_token", 3),
        ("trace_group_horizon", 3),
        ("resize_imgs_with_padding", (512, 384)),
        ("attention_mode", "self_attn"),
        ("num_steps", 0),
        ("vision_tower", "resnet"),
        ("delta_scale", (1.0, 0.0, 1.0)),
        ("add_image_special_tokens", True),
        ("trace_adaln_freq_embed_size", 5),
        ("depth_lora_targets", ("lm_head",)),
        ("prefix_attention", "sliding"),
        ("dino_padding", "reflection"),
        ("min_period", 5.0),
    ],
)
def test_bad_values_are_named(field, value):
    with pytest.raises(ConfigError, match=field):
        WorldModelConfig.from_dict({field: value})


def test_dependent_fields_are_checked():
    with pytest.raises(ConfigError, match="vision_feature_layers"):
        WorldModelConfig(vision_tower="dinov2")
    with pytest.raises(ConfigError, match="vision_tower"):
        WorldModelConfig(share_vision_features=True, use_dino=True)
    with pytest.raises(ConfigError, match="depth_log_min"):
        WorldModelConfig(query_depth=True)
    assert (
        WorldModelConfig(
            trace_knots="uniform", trace_bspline_n_ctrl=8, trace_bspline_ctrl_per_token=8
        ).trace_bspline_n_ctrl
        == 8
    )


@pytest.mark.parametrize("text", ["{", "[1]", None])
def test_unreadable_files_are_named(tmp_path, text):
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json"):
        WorldModelConfig.from_json(path)
