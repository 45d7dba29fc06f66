# SPDX-License-Identifier: Apache-2.0
"""A clip in which everything is known, and a place for stand-ins of foreign packages.

Frame k is a plain grey image of value 4 k, at any size, so that a stand-in for a tracker can tell
which frame it was given and answer with the true motion.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from mu0_core.geometry import camera
from mu0_core.trace_extract.records import CameraPath, Geometry, Keypoints
from mu0_core.types import CameraIntrinsics

GREY_STEP = 4


@dataclass(frozen=True)
class KnownClip:
    """T frames of 64 x 48 pixels; all points share one motion in the image."""

    rgb: np.ndarray
    geometry: Geometry
    motion_px: np.ndarray  # (T, 2)

    def pixels(self, queries: Keypoints) -> np.ndarray:
        """Return (P, T, 2) true pixels."""
        shift = self.motion_px[None] - self.motion_px[queries.frame][:, None]
        return queries.uv_px[:, None].astype(float) + shift

    def world(self, queries: Keypoints) -> np.ndarray:
        """Return (P, T, 3) true points in the world."""
        uv = self.pixels(queries)
        z = np.broadcast_to(np.asarray(self.geometry.depth_m)[:, 10, 10], uv.shape[:2])
        local = camera.unproject(np.concatenate([uv, z[..., None]], -1), self.geometry.intrinsics)
        T = self.geometry.T_world_camera
        return np.einsum("tij,ptj->pti", T[:, :3, :3], local) + T[:, :3, 3]


def known_clip(frames: int) -> KnownClip:
    t = np.arange(frames)
    rgb = np.empty((frames, 48, 64, 3), np.uint8)
    rgb[:] = (t * GREY_STEP)[:, None, None, None]
    depth = np.empty((frames, 48, 64), np.float32)
    depth[:] = (1.0 + 0.1 * np.sin(t / 3))[:, None, None]
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 0, 3] = 0.01 * t
    poses[:, 2, 3] = -0.005 * t
    path = CameraPath(poses, np.zeros(frames), "given")
    geometry = Geometry(depth, CameraIntrinsics(64, 48, 60.0, 61.0, 31.0, 24.0), path, "sensor")
    motion = np.stack([6 * np.sin(t / 4), 4 * np.cos(t / 5)], axis=1)
    return KnownClip(rgb, geometry, motion)


def keypoints(frame: list[int], uv_px: list[tuple[float, float]]) -> Keypoints:
    count = len(frame)
    return Keypoints(
        np.array(frame, np.int32),
        np.array(uv_px, np.float32).reshape(count, 2),
        np.arange(count, dtype=np.int32),
        np.zeros(count, bool),
        np.unique(frame).astype(np.int32),
        np.zeros((len(set(frame)), 2, 2), np.int16),
    )


@pytest.fixture
def clip() -> KnownClip:
    return known_clip(20)


@pytest.fixture
def make_clip():
    return known_clip


@pytest.fixture
def make_keypoints():
    return keypoints


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Write the modules of a foreign package and forget them after the test."""
    before = set(sys.modules)

    def write(modules: dict[str, str], *, importable: bool = True):
        folder = tmp_path / "stand_in"
        for name, source in modules.items():
            path = folder.joinpath(*name.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        if importable:
            monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()
        return folder

    yield write
    for name in set(sys.modules) - before:
        if not name.startswith("mu0_core"):
            del sys.modules[name]
