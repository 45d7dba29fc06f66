# SPDX-License-Identifier: Apache-2.0
"""One frame as its alignment with others sees it: features, and a grid of points with normals."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.geometry import camera
from mu0_core.types import CameraIntrinsics

_MOST_COLUMNS = 4096  # OpenCV refuses to sample more than 32766 places in one row


@dataclass(frozen=True, slots=True)
class AlignmentSettings:
    """How two frames are aligned.

    Attributes:
        num_features: SIFT features kept of a frame.
        min_contrast: of a feature; OpenCV's default of 0.04 finds next to none on smooth textures.
        max_ratio: of the distances of best and second best match (Lowe).
        trials: hypotheses drawn from the matches.
        inlier_px: reprojection error of a feature that agrees.
        depth_noise: sigma of depth in metres at 1 m; grows with the square of depth.
        max_grey: difference in brightness of a sample that agrees.
        grid: columns of the depth samples; rows follow.
        iterations: of the refinement.
        min_agreement: share of the overlapping samples that must agree with the result.
        min_overlap: share of the depth samples that must fall into the other frame.
    """

    num_features: int = 600
    min_contrast: float = 0.01
    max_ratio: float = 0.8
    trials: int = 200
    inlier_px: float = 2.0
    depth_noise: float = 0.0025
    max_grey: float = 15.0
    grid: int = 80
    iterations: int = 8
    min_agreement: float = 0.35
    min_overlap: float = 0.25

    def __post_init__(self) -> None:
        if min(self.num_features, self.trials, self.grid, self.iterations) < 1:
            raise ConfigError(f"features, trials, grid and iterations must be positive: {self}")
        if not 0 < self.max_ratio <= 1 or not 0 < self.inlier_px or not 0 < self.depth_noise:
            raise ConfigError(f"ratio in (0, 1], inlier_px and depth_noise positive: {self}")


@dataclass(frozen=True, slots=True)
class View:
    """One frame, prepared for alignment.

    Attributes:
        grey: (h, w) float32 brightness, smoothed.
        intrinsics: of the frame.
        feature_m: (F, 3) features in the optical frame; descriptors: (F, 128).
        grid_m: (G, 3) depth samples in the optical frame; grid_grey: (G,) their brightness.
        points_m, normals: (gh, gw, 3) the same samples as an image; NaN where unknown.
    """

    grey: np.ndarray
    intrinsics: CameraIntrinsics
    feature_m: np.ndarray
    descriptors: np.ndarray
    grid_m: np.ndarray
    grid_grey: np.ndarray
    points_m: np.ndarray
    normals: np.ndarray
    stride: int


def make_view(
    rgb: np.ndarray, depth_m: np.ndarray, intrinsics: CameraIntrinsics, settings: AlignmentSettings
) -> View:
    """Extract what `align` needs of a frame.

    Args:
        rgb: (h, w, 3) uint8.
        depth_m: (h, w) metres; NaN where unknown.
        intrinsics: of both.
        settings: of the alignment.
    """
    depth = np.asarray(depth_m, np.float32)
    gray = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
    sift = cv2.SIFT_create(settings.num_features, contrastThreshold=settings.min_contrast)
    found, descriptors = sift.detectAndCompute(gray, None)
    uv = np.array([k.pt for k in found], float).reshape(-1, 2)
    descriptors = np.zeros((0, 128), np.float32) if descriptors is None else descriptors
    z = smooth_depth(depth, uv)
    known = np.isfinite(z)
    feature_m = camera.unproject(np.column_stack([uv, z])[known], intrinsics)
    stride = max(1, round(intrinsics.width / settings.grid))
    rows = np.arange(stride // 2, intrinsics.height, stride)
    columns = np.arange(stride // 2, intrinsics.width, stride)
    v, u = np.meshgrid(rows, columns, indexing="ij")
    points = camera.unproject(np.stack([u, v, depth[v, u]], axis=-1).astype(float), intrinsics)
    normals = _normals(points)
    usable = np.isfinite(normals).all(axis=-1)
    smooth = cv2.GaussianBlur(gray, (7, 7), 0).astype(np.float32)
    return View(
        smooth,
        intrinsics,
        feature_m,
        descriptors[known],
        points[usable],
        smooth[v, u][usable],
        points,
        normals,
        stride,
    )


def smooth_depth(depth_m: np.ndarray, uv_px: np.ndarray, max_step_m: float = 0.03) -> np.ndarray:
    """Return (N,) the median depth of the 3 x 3 pixels at each uv (N, 2); NaN at edges and holes.

    Args:
        depth_m: (h, w); NaN where unknown.
        uv_px: columns and rows; NaN or outside gives NaN.
        max_step_m: spread beyond which the pixels lie on two surfaces.
    """
    height, width = depth_m.shape
    inside = np.isfinite(uv_px).all(axis=1)
    centre = np.rint(np.where(inside[:, None], uv_px, 0)).astype(int)
    inside &= (centre[:, 0] >= 1) & (centre[:, 0] < width - 1)
    inside &= (centre[:, 1] >= 1) & (centre[:, 1] < height - 1)
    centre = np.where(inside[:, None], centre, 1)
    offset = np.array([-1, 0, 1])
    patch = depth_m[
        centre[:, 1, None, None] + offset[:, None], centre[:, 0, None, None] + offset
    ].reshape(-1, 9)
    whole = inside & np.isfinite(patch).all(axis=1)
    patch = np.where(whole[:, None], patch, 0.0)
    whole &= np.ptp(patch, axis=1) <= max_step_m
    return np.where(whole, np.median(patch, axis=1), np.nan)


def sample_image(image: np.ndarray, uv_px: np.ndarray) -> np.ndarray:
    """Return (N,) float32 the bilinear value of an image (h, w) at (N, >= 2) u, v inside of it."""
    if not len(uv_px):
        return np.zeros(0, np.float32)
    columns = min(len(uv_px), _MOST_COLUMNS)
    rows = -(-len(uv_px) // columns)
    places = np.zeros((rows * columns, 2), np.float32)
    places[: len(uv_px)] = uv_px[:, :2]
    x, y = (np.ascontiguousarray(places[:, k].reshape(rows, columns)) for k in range(2))
    values = cv2.remap(np.asarray(image, np.float32), x, y, cv2.INTER_LINEAR)
    return values.reshape(-1)[: len(uv_px)]


def _normals(points: np.ndarray) -> np.ndarray:
    """Return normals (gh, gw, 3) of a grid of points, NaN at its border, at holes and edges."""
    normals = np.full_like(points, np.nan)
    right = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    cross = np.cross(right, down)
    length = np.linalg.norm(cross, axis=-1, keepdims=True)
    depth = points[1:-1, 1:-1, 2]
    steep = (np.abs(right[..., 2]) > 0.06 * depth) | (np.abs(down[..., 2]) > 0.06 * depth)
    fine = (length[..., 0] > 1e-12) & ~steep
    normals[1:-1, 1:-1] = np.where(fine[..., None], cross / np.maximum(length, 1e-12), np.nan)
    return normals
