# SPDX-License-Identifier: Apache-2.0
"""What the stages ask of models: depth, reconstruction, tracking, patch features.

A backend is one file in ``backends`` that implements one of these and one line in its registry.
Arrays are numpy; a backend moves them to its device and back.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mu0_core.trace_extract.records import Geometry, Keypoints, Tracks
from mu0_core.types import CameraIntrinsics


class DepthModel(Protocol):
    """Metric depth of single images."""

    name: str

    def depth_m(self, rgb: np.ndarray, intrinsics: CameraIntrinsics | None) -> np.ndarray:
        """Return (h, w) float32 metres along the optical axis of (h, w, 3) uint8; NaN unknown."""
        ...


class Reconstruction(Protocol):
    """Depth, intrinsics and camera poses of a few images at once (VGGT family)."""

    name: str

    def reconstruct(
        self, rgb: np.ndarray
    ) -> tuple[np.ndarray, tuple[float, float, float, float], np.ndarray]:
        """Return depth, intrinsics and poses of (F, h, w, 3) uint8 images.

        Returns:
            depth (F, h, w) float32 metres up to one common scale, NaN where unknown;
            (fx, fy, cx, cy) px at the size of the images, averaged over them;
            T_world_camera (F, 4, 4), world = camera of the first image.
        """
        ...


class PointTracker(Protocol):
    """Follows points through a clip, forwards and backwards, with occlusion."""

    name: str

    def track(self, rgb: np.ndarray, geometry: Geometry, queries: Keypoints) -> Tracks:
        """Return the tracks of ``queries`` over the T frames of ``rgb`` (T, h, w, 3) uint8.

        Args:
            rgb: frames; may be memory-mapped.
            geometry: depth and camera of the same frames.
            queries: points with the frame in which they were proposed.
        """
        ...


class PatchFeatures(Protocol):
    """Dense features for clustering and re-detection."""

    name: str
    grid: int

    def features(self, rgb: np.ndarray) -> np.ndarray:
        """Return (grid, grid, C) float32 of one (h, w, 3) uint8 image, stretched to a square."""
        ...
