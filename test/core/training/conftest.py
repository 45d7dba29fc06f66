# SPDX-License-Identifier: Apache-2.0
"""Tiny stand-ins: synthetic recordings, a random model of the embedded kind, a word tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mu0_core.geometry import camera, se3
from mu0_core.model.backbone_config import BackboneConfig, TextConfig, VisionConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.world_model import WorldModel
from mu0_core.simulation.recorder import RecordedFrame, Recording
from mu0_core.simulation.recording_file import recording_path, recording_paths, save_recording
from mu0_core.training.feature_cache import FeatureCacheSettings, fill_feature_cache
from mu0_core.training.slots import SlotSettings, build_slots
from mu0_core.training.world_model_trainer import delta_scale
from mu0_core.types import CameraIntrinsics, QueryPoints

LENS = CameraIntrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
STEPS, POINTS = 14, 6
SETTINGS = SlotSettings(max_points=8)


def make_recording(seed: int) -> Recording:
    """Return a body (id 1) that rises from the table while body 0 stands still."""
    rng = np.random.default_rng(seed)
    T_base_camera = np.eye(4)
    T_base_camera[:3, :3] = np.diag([1.0, -1.0, -1.0])
    T_base_camera[:3, 3] = (0.5, 0.0, 1.0)
    poses = np.tile(np.eye(4), (STEPS + 1, 2, 1, 1))
    poses[:, 1, :3, 3] = np.linspace(0, 1, STEPS + 1)[:, None] * rng.uniform(0.1, 0.3, 3)
    tip = rng.uniform(-0.02, 0.02, (STEPS, 3)) + poses[:-1, 1, :3, 3] + (0.5, 0.0, 0.2)

    def frame(step: int) -> RecordedFrame:
        body = np.arange(POINTS) % 2
        at = np.concatenate(
            [rng.uniform(0.4, 0.6, (POINTS, 1)), rng.uniform(-0.1, 0.1, (POINTS, 2))], axis=1
        )
        uvz = camera.project(se3.apply(se3.inverse(T_base_camera), at), LENS)
        query = QueryPoints(
            uv_px=uvz[:, :2].astype(np.float32),
            depth_m=uvz[:, 2].astype(np.float32),
            ids=np.arange(POINTS, dtype=np.uint32),
            entity_ids=body.astype(np.uint16),
            roles=np.zeros(POINTS, np.uint8),
            width=LENS.width,
            height=LENS.height,
        )
        rgb = rng.integers(0, 256, (LENS.height, LENS.width, 3), dtype=np.uint8)
        return RecordedFrame(
            step, rgb, np.ones((LENS.height, LENS.width), np.float32), query, body
        )

    return Recording(
        seed=seed,
        task="push_left",
        instructions=("push it", "slide it left", "move"),
        intrinsics=LENS,
        T_base_camera=T_base_camera,
        tip_m=tip,
        command_m=np.concatenate([tip[1:], tip[-1:]]),
        joints_rad=rng.normal(size=(STEPS, 7)),
        gripper_m=np.full(STEPS, 0.08),
        gripper_command_m=np.where(np.arange(STEPS) < 7, 0.08, 0.0),
        body_poses=poses,
        frames=tuple(frame(step) for step in (0, 4, 8)),
    )


def words(sentence: str) -> torch.Tensor:
    """Return one token id per word."""
    return torch.tensor([1 + sum(map(ord, word)) % 49 for word in f"Task: {sentence}".split()])


@pytest.fixture(scope="session")
def recordings(tmp_path_factory) -> Path:
    """Return a folder with four recordings."""
    folder = tmp_path_factory.mktemp("recordings")
    for seed in range(4):
        save_recording(make_recording(seed), recording_path(folder, seed))
    return folder


@pytest.fixture(scope="session")
def slots(recordings):
    """Return the twelve slots of the recordings."""
    return build_slots(recording_paths(recordings), SETTINGS)


@pytest.fixture
def make_model(slots):
    """Return a maker of equal random models."""
    config = WorldModelConfig(
        num_vlm_layers=2,
        num_expert_layers=2,
        expert_width_multiplier=0.5,
        resize_imgs_with_padding=(56, 56),
        history_len=8,
        trace_group_horizon=8,
        use_dino=True,
        trace_done_head=True,
        num_steps=2,
        rigidity_loss_weight=5.0,
        vision_tower="dinov2",
        vision_feature_layers=(1, 2),
        share_vision_features=True,
        dino_padding="border",
        scale_embeddings=False,
        prefix_attention="causal",
        query_depth=True,
        depth_log_min=-1.4,
        depth_log_max=0.8,
        legacy_unused_tensors=False,
        delta_scale=delta_scale(slots),
    )
    sizes = BackboneConfig(
        TextConfig(48, 64, num_layers=2, num_heads=6, num_kv_heads=2, head_dim=8, vocab_size=50),
        VisionConfig(24, 96, num_layers=2, num_heads=2, image_size=56, patch_size=14),
        scale_factor=2,
    )

    def make() -> WorldModel:
        torch.manual_seed(0)
        return WorldModel(config, sizes).eval()

    return make


@pytest.fixture
def cache(make_model, slots, recordings, tmp_path):
    """Return the backbone features of all slots."""
    settings = FeatureCacheSettings(batch_size=5)
    return fill_feature_cache(
        tmp_path / "features", make_model(), words, slots, recordings, settings
    )


@pytest.fixture(scope="session")
def tokenizer():
    """Return a tokenizer of the tiny model: one id per word."""
    return words
