# SPDX-License-Identifier: Apache-2.0
"""The released action policy, from pixels to the chunk of actions."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from mu0_core.action_expert.policy import ReleasePolicy
from mu0_core.action_expert.policy_config import PolicyConfig, gemma_sizes
from mu0_core.model.checkpoint import load_checkpoint
from mu0_core.model.time_embedding import euler_times


@pytest.fixture
def golden_policy(golden_dir, golden_model):
    if not (golden_dir / "policy.safetensors").is_file():
        pytest.skip(f"no policy.safetensors in {golden_dir}")
    stored = json.loads((golden_dir / "policy_config.json").read_text())
    policy = ReleasePolicy.for_world_model(
        PolicyConfig.from_dict(stored["policy"]), gemma_sizes(stored["gemma"]), golden_model
    ).eval()
    load_checkpoint(
        policy, {name: name for name in policy.state_dict()}, golden_dir / "policy.safetensors"
    )
    inputs = load_file(golden_dir / "policy.inputs.safetensors")
    seen = policy.observe(
        golden_model,
        inputs["observation.images.cam_front"],
        inputs["gripper_image"],
        inputs["observation.language.tokens"],
        inputs["observation.language.attention_mask"],
        inputs["trace_noise"],
    )
    expected = load_file(golden_dir / "policy.expected.safetensors")
    return policy, golden_model, inputs, expected, seen


@torch.no_grad()
def test_golden_release_policy_observation(golden_policy, close):
    policy, model, inputs, expected, seen = golden_policy
    assert torch.equal(~seen.z_valid, expected["vlm_key_padding_mask"])
    close(seen.z, expected["z_after_mixer"], seen.z_valid)
    close(seen.wrist, expected["wrist_tokens"])
    close(seen.language, expected["language_tokens"])
    images = inputs["observation.images.cam_front"]
    prefix = model.encode_prefix(
        images,
        inputs["observation.language.tokens"],
        inputs["observation.language.attention_mask"],
    )
    close(prefix.hidden, expected["vlm_pre_final_norm"], prefix.valid)
    if "motion_tokens_pooled" in expected:
        motion = policy.motion_tokens(model, prefix, images, inputs["trace_noise"])
        close(motion, expected["motion_tokens_pooled"])


@torch.no_grad()
def test_golden_release_policy_head(golden_policy, close):
    policy, _, inputs, expected, seen = golden_policy
    decoder, state, noise = policy.action_decoder, inputs["state"], inputs["action_noise"]
    tokens, valid = decoder.prefix(seen, state)
    close(tokens, expected["step0.prefix"], valid)
    chunk = noise.shape[1]
    assert torch.equal(valid, expected["step0.pad_mask"][:, :-chunk])
    time = euler_times(policy.config.num_inference_steps)[:1].expand(len(noise))
    close(decoder.condition(time), expected["step0.adarms_cond"])
    close(policy.velocity(seen, state, noise, time), expected["step0.v"])


def test_golden_release_policy_actions(golden_policy, close):
    policy, _, inputs, expected, seen = golden_policy
    actions = policy.act(seen, inputs["state"], inputs["action_noise"])
    close(actions, expected["actions"])


def test_golden_release_policy_training_loss(golden_policy, close):
    policy, _, inputs, expected, seen = golden_policy
    loss = policy.loss(
        seen,
        inputs["state"],
        inputs["train_actions"],
        inputs["action_noise"],
        inputs["train_time"],
    )
    close(loss.detach().reshape(-1), expected["train_loss"].reshape(-1))
    loss.backward()
    without = sorted(n for n, p in policy.named_parameters() if p.grad is None)
    assert without == [] or not policy.config.use_trace
