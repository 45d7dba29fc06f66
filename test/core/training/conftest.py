# SPDX-License-Identifier: Apache-2.0
"""Tiny stand-ins: synthetic snapshots, a random model of the embedded kind, a word tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mu0_core.geometry import camera, se3
from mu0_core.model.backbone_config import BackboneConfig, TextConfig, VisionConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.world_model import WorldModel
from mu0_core.simulation.snapshot import Future, Snapshot
from mu0_core.simulation.snapshot_file import save_snapshot, snapshot_path, snapshot_paths
from mu0_core.training.feature_cache import FeatureCacheSettings, fill_feature_cache
from mu0_core.training.slots import SlotSettings, build_slots
from mu0_core.training.world_model_trainer import delta_scale
from mu0_core.types import CameraIntrinsics, QueryPoints

LENS = CameraIntrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
STEPS, POINTS, CHUNK = 14, 6, 16
SETTINGS = SlotSettings(max_points=8)


def make_snapshot(seed: int) -> Snapshot:
    """Return a picture with three futures: every second point moves, each time elsewhere."""
    rng = np.random.default_rng(seed)
    T_base_camera = np.eye(4)
    T_base_camera[:3, :3] = np.diag([1.0, -1.0, -1.0])
    T_base_camera[:3, 3] = (0.5, 0.0, 1.0)
    body = np.arange(POINTS) % 2
    at = np.concatenate(
        [rng.uniform(0.4, 0.6, (POINTS, 1)), rng.uniform(-0.1, 0.1, (POINTS, 2))], axis=1
    )
    start = se3.apply(se3.inverse(T_base_camera), at)
    uvz = camera.project(start, LENS)
    tip = np.array([0.5, 0.0, 0.2]) + rng.uniform(-0.02, 0.02, 3)

    def future(sentence: str) -> Future:
        way = np.linspace(0, 1, STEPS + 1)[:, None, None] * rng.uniform(0.1, 0.3, 3)
        command = tip + np.linspace(0, 0.1, CHUNK)[:, None]
        opening = np.where(np.arange(CHUNK) < 7, 0.08, 0.0)
        tracks = (start + way * body[:, None]).astype(np.float32)
        return Future("push_left", sentence, tracks, command, opening)

    return Snapshot(
        seed=seed,
        rgb=rng.integers(0, 256, (LENS.height, LENS.width, 3), dtype=np.uint8),
        intrinsics=LENS,
        T_base_camera=T_base_camera,
        query=QueryPoints(
            uv_px=uvz[:, :2].astype(np.float32),
            depth_m=uvz[:, 2].astype(np.float32),
            ids=np.arange(POINTS, dtype=np.uint32),
            entity_ids=body.astype(np.uint16),
            roles=np.zeros(POINTS, np.uint8),
            width=LENS.width,
            height=LENS.height,
        ),
        query_body=body,
        joints_rad=rng.normal(size=7),
        tip_m=tip,
        opening_m=0.08,
        futures=tuple(future(sentence) for sentence in ("push it", "slide it left", "move")),
    )


def words(sentence: str) -> torch.Tensor:
    """Return one token id per word."""
    return torch.tensor([1 + sum(map(ord, word)) % 49 for word in f"Task: {sentence}".split()])


@pytest.fixture(scope="session")
def snapshots(tmp_path_factory) -> Path:
    """Return a folder with four snapshots."""
    folder = tmp_path_factory.mktemp("snapshots")
    for seed in range(4):
        save_snapshot(make_snapshot(seed), snapshot_path(folder, seed))
    return folder


@pytest.fixture(scope="session")
def slots(snapshots):
    """Return the twelve slots of the snapshots."""
    return build_slots(snapshot_paths(snapshots), SETTINGS)


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
def cache(make_model, slots, snapshots, tmp_path):
    """Return the backbone features of all slots."""
    settings = FeatureCacheSettings(batch_size=2)
    return fill_feature_cache(
        tmp_path / "features", make_model(), words, slots, snapshots, settings
    )


@pytest.fixture(scope="session")
def tokenizer():
    """Return a tokenizer of the tiny model: one id per word."""
    return words
