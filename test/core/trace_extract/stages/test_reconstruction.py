# SPDX-License-Identifier: Apache-2.0
"""Chunks without a common frame or scale are laid onto the anchors and do not drift."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mu0_core.errors import ConfigError, DataError
from mu0_core.geometry import se3
from mu0_core.trace_extract.stages.reconstruction import (
    ReconstructionSettings,
    reconstruct_clip,
)

FRAMES = 50


class DriftingModel:
    """Exact within a call, but each call has a scale and a world of its own."""

    name = "drifting"

    def __init__(self, poses, drift=0.0):
        self.poses, self.calls, self.drift = poses, [], drift

    def reconstruct(self, rgb):
        frames = rgb[:, 0, 0, 0].astype(int)
        self.calls.append(frames)
        scale = 1.0 + 0.1 * (len(self.calls) - 1)
        poses = se3.inverse(self.poses[frames[0]]) @ self.poses[frames]
        poses[:, 0, 3] += self.drift * np.arange(len(frames))
        poses[:, :3, 3] *= scale
        depth = np.full(rgb.shape[:3], 2.0 * scale, np.float32)
        return depth, (100.0, 101.0, 3.5, 2.5), poses


@pytest.fixture
def poses():
    time = np.arange(FRAMES) / FRAMES
    poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    poses[:, :3, 3] = np.stack([time, 0.2 * np.sin(6 * time), 0 * time], axis=1)
    poses[:, :3, :3] = Rotation.from_rotvec(np.outer(time, [0, 0.5, 0])).as_matrix()
    return poses


@pytest.fixture
def rgb():
    return np.tile(np.arange(FRAMES, dtype=np.uint8)[:, None, None, None], (1, 6, 8, 3))


def test_poses_and_depth_come_in_the_scale_and_world_of_the_anchors(rgb, poses):
    model = DriftingModel(poses)
    found = reconstruct_clip(rgb, model, ReconstructionSettings(anchors=6, chunk=25))
    np.testing.assert_allclose(found.T_world_camera, poses, atol=1e-7)
    np.testing.assert_allclose(found.depth_m, 2.0, rtol=1e-3)
    np.testing.assert_allclose(found.focal_px, [100, 101, 3.5, 2.5])
    assert max(map(len, model.calls)) <= 25 and len(model.calls) > 2


def test_error_does_not_grow_with_the_number_of_chunks(rgb, poses):
    settings = ReconstructionSettings(anchors=25, chunk=5)
    model = DriftingModel(poses)
    sparse = reconstruct_clip(rgb, model, settings)
    calls = len(model.calls)
    drifting = DriftingModel(poses)
    clean = drifting.reconstruct

    def reconstruct(images):  # only the dense passes drift
        drifting.drift = 0.004 if drifting.calls else 0.0
        return clean(images)

    drifting.reconstruct = reconstruct
    found = reconstruct_clip(rgb, drifting, settings)
    error = np.linalg.norm((found.T_world_camera - sparse.T_world_camera)[:, :3, 3], axis=1)
    assert calls > 10 and error[-5:].max() <= error[:10].max() + 0.01 < 0.04


def test_a_short_clip_is_one_call(rgb, poses):
    model = DriftingModel(poses)
    found = reconstruct_clip(rgb[:10], model, ReconstructionSettings())
    assert len(model.calls) == 1 and len(found.T_world_camera) == 10


def test_anchors_too_far_apart_for_a_chunk_are_refused(rgb, poses):
    with pytest.raises(DataError, match="a chunk holds 4"):
        reconstruct_clip(rgb, DriftingModel(poses), ReconstructionSettings(anchors=3, chunk=4))


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="anchors 1"):
        ReconstructionSettings(anchors=1)
