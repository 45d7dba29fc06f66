# SPDX-License-Identifier: Apache-2.0
"""Depth and cameras of a clip without depth, from a model that takes a few images at a time.

Hybrid of a global and a local pass (TraceExtract): one sparse pass over anchors spread through the
clip, then dense chunks. Each chunk holds anchors and is laid straight onto those of the sparse
pass, so that errors do not add up from chunk to chunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ConfigError, DataError
from mu0_core.geometry import se3
from mu0_core.trace_extract.protocols import Reconstruction
from mu0_core.trace_extract.stages.camera_motion import mean_pose


@dataclass(frozen=True, slots=True)
class ReconstructionSettings:
    """How a clip is cut for the model.

    Attributes:
        anchors: images of the sparse pass (paper: 60).
        chunk: images of a dense pass, anchors among them (paper: 60).
    """

    anchors: int = 60
    chunk: int = 60

    def __post_init__(self) -> None:
        if self.anchors < 2 or self.chunk < 4:
            raise ConfigError(f"anchors {self.anchors} >= 2 and chunk {self.chunk} >= 4 needed")


@dataclass(frozen=True, slots=True)
class Reconstructed:
    """Depth (T, h, w), focal lengths and centre (4,), poses (T, 4, 4), residual (T,) in metres."""

    depth_m: np.ndarray
    focal_px: np.ndarray
    T_world_camera: np.ndarray
    rmse_m: np.ndarray


def reconstruct_clip(
    rgb: np.ndarray, model: Reconstruction, settings: ReconstructionSettings
) -> Reconstructed:
    """Return depth and cameras of (T, h, w, 3) uint8 frames; world = camera of the first.

    Raises:
        DataError: a chunk shares no usable depth with the anchors.
    """
    frames = len(rgb)
    anchors = np.unique(
        np.linspace(0, frames - 1, min(settings.anchors, frames)).round().astype(int)
    )
    sparse_depth, lens, sparse_poses = model.reconstruct(np.asarray(rgb[anchors]))
    depth = np.empty(rgb.shape[:3], np.float16)
    poses = np.empty((frames, 4, 4))
    rmse = np.zeros(frames)
    depth[anchors], poses[anchors] = sparse_depth, sparse_poses
    lenses, weights = [lens], [len(anchors)]
    for inside, shared in _chunks(frames, anchors, settings):
        local_depth, lens, local_poses = model.reconstruct(np.asarray(rgb[inside]))
        lenses.append(lens)
        weights.append(len(inside))
        at, among = np.flatnonzero(np.isin(inside, shared)), np.searchsorted(anchors, shared)
        scale = _scale(local_depth[at], sparse_depth[among], inside)
        local_poses = local_poses.copy()
        local_poses[:, :3, 3] *= scale
        offsets = sparse_poses[among] @ se3.inverse(local_poses[at])
        laid = mean_pose(offsets, np.ones(len(offsets))) @ local_poses
        gap = np.linalg.norm(laid[at][:, :3, 3] - sparse_poses[among][:, :3, 3], axis=1)
        fresh = ~np.isin(inside, anchors)
        depth[inside[fresh]], poses[inside[fresh]] = local_depth[fresh] * scale, laid[fresh]
        rmse[inside] = np.sqrt((gap**2).mean())
    focal = np.average(np.array(lenses), axis=0, weights=weights)
    return Reconstructed(depth, focal, se3.inverse(poses[0]) @ poses, rmse)


def _chunks(
    frames: int, anchors: np.ndarray, settings: ReconstructionSettings
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (frames of the chunk, anchors among them): pieces between anchors, ends included."""
    if len(anchors) == frames:
        return []
    chunks = []
    first = 0
    while first < len(anchors) - 1:
        fits = np.flatnonzero(anchors[first:] - anchors[first] < settings.chunk)
        last = first + max(1, int(fits[-1]))
        inside = np.arange(anchors[first], anchors[last] + 1)
        if len(inside) > settings.chunk:  # anchors further apart than a chunk: thin it out
            raise DataError(
                f"anchors lie {len(inside)} frames apart, a chunk holds {settings.chunk}; "
                "raise reconstruction.anchors or reconstruction.chunk, or lower read.fps"
            )
        chunks.append((inside, anchors[first : last + 1]))
        first = last
    return chunks


def _scale(local: np.ndarray, sparse: np.ndarray, inside: np.ndarray) -> float:
    """Return the factor that makes a chunk's depth as large as the anchors'."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = sparse.astype(float) / local
    known = np.isfinite(ratio) & (ratio > 0)
    if not known.any():
        raise DataError(f"frames {inside[0]}..{inside[-1]}: no depth shared with the anchors")
    return float(np.median(ratio[known]))
