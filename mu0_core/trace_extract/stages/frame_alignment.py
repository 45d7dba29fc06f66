# SPDX-License-Identifier: Apache-2.0
"""Rigid motion between two RGB-D frames of one camera, robust against what moves by itself.

Candidates (a guess, and the consensus of SIFT matches in 3D) are compared by how much of the whole
picture agrees with them in depth and brightness, because an arm near the camera may own most
features but rarely most of the picture. The best one is refined on features and on depth (point to
plane) together.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.errors import ConfigError
from mu0_core.geometry import camera, se3
from mu0_core.geometry.rigid_fit import rigid_fit
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


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where a view was, seen from another.

    Attributes:
        T_target_source: (4, 4).
        agreement: share of the overlapping samples that agree in depth and brightness.
        overlap: share of the depth samples that fall into the target.
        rmse_m: of the depth samples that agree.
        num_features: matches that agree.
    """

    T_target_source: np.ndarray
    agreement: float
    overlap: float
    rmse_m: float
    num_features: int

    def holds(self, settings: AlignmentSettings) -> bool:
        """Say whether enough of the pictures agrees to trust the result."""
        return self.agreement >= settings.min_agreement and self.overlap >= settings.min_overlap


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


def align(
    source: View, target: View, settings: AlignmentSettings, guess: np.ndarray | None = None
) -> Alignment:
    """Return the pose of ``source`` in the camera of ``target``.

    Args:
        source: the frame whose pose is wanted.
        target: the frame that it is expressed in.
        settings: how.
        guess: T_target_source (4, 4) to compare with; default: no motion.
    """
    pairs = _matches(source, target, settings)
    candidates = [np.eye(4) if guess is None else guess]
    consensus = _consensus(source, target, pairs, settings)
    if consensus is not None:
        candidates.append(consensus)
    scores = [_agreement(source, target, T, settings) for T in candidates]
    best = candidates[int(np.argmax([agreement * overlap for agreement, overlap, _ in scores]))]
    refined = _refine(source, target, pairs, best, settings)
    agreement, overlap, rmse = _agreement(source, target, refined, settings)
    near = _feature_inliers(source, target, pairs, refined[None], settings)[0]
    return Alignment(refined, agreement, overlap, rmse, int(near.sum()))


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


def _matches(source: View, target: View, settings: AlignmentSettings) -> np.ndarray:
    """Return (M, 2) indices of features that match by descriptor."""
    if len(source.descriptors) < 3 or len(target.descriptors) < 3:
        return np.zeros((0, 2), int)
    found = cv2.BFMatcher(cv2.NORM_L2).knnMatch(source.descriptors, target.descriptors, k=2)
    kept = [a for a, b in found if a.distance < settings.max_ratio * b.distance]
    return np.array([(m.queryIdx, m.trainIdx) for m in kept], int).reshape(-1, 2)


def _consensus(
    source: View, target: View, pairs: np.ndarray, settings: AlignmentSettings
) -> np.ndarray | None:
    """Return the motion that most matches agree with, or None when there are too few."""
    if len(pairs) < 6:
        return None
    rng = np.random.default_rng(0)
    triples = rng.integers(len(pairs), size=(settings.trials, 3))
    motions = rigid_fit(source.feature_m[pairs[triples, 0]], target.feature_m[pairs[triples, 1]])
    inliers = _feature_inliers(source, target, pairs, motions, settings)
    best = inliers[int(np.argmax(inliers.sum(axis=1)))]
    if best.sum() < 6:
        return None
    chosen = pairs[best]
    return rigid_fit(source.feature_m[chosen[:, 0]][None], target.feature_m[chosen[:, 1]][None])[0]


def _feature_inliers(
    source: View, target: View, pairs: np.ndarray, motions: np.ndarray, settings: AlignmentSettings
) -> np.ndarray:
    """Return (B, M) which matches agree with each motion in pixels and in depth."""
    points, wanted = source.feature_m[pairs[:, 0]], target.feature_m[pairs[:, 1]]
    moved = np.einsum("bij,mj->bmi", motions[:, :3, :3], points) + motions[:, None, :3, 3]
    with np.errstate(invalid="ignore", divide="ignore"):
        error = camera.project(moved, target.intrinsics) - camera.project(
            wanted, target.intrinsics
        )
    sigma = np.sqrt(2) * settings.depth_noise * wanted[:, 2] ** 2
    return (np.linalg.norm(error[..., :2], axis=-1) < settings.inlier_px) & (
        np.abs(error[..., 2]) < 4 * sigma
    )


def _lookup(
    source: View, target: View, T: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Return moved source samples, their target samples, normals, brightness gaps, the overlap."""
    moved = se3.apply(T, source.grid_m)
    with np.errstate(invalid="ignore"):
        uvz = camera.project(moved, target.intrinsics)
    cell = (uvz[:, :2] - target.stride // 2) / target.stride
    rows, columns = target.points_m.shape[:2]
    inside = np.isfinite(cell).all(axis=1)
    index = np.rint(np.where(inside[:, None], cell, -1)).astype(int)
    inside &= (index >= 0).all(axis=1) & (index[:, 0] < columns) & (index[:, 1] < rows)
    overlap = float(inside.mean()) if len(inside) else 0.0
    column, row = index[inside].T
    points, normals = target.points_m[row, column], target.normals[row, column]
    known = np.isfinite(normals).all(axis=1)
    gap = np.abs(sample_image(target.grey, uvz[inside][known]) - source.grid_grey[inside][known])
    return moved[inside][known], points[known], normals[known], gap, overlap


def _agreement(
    source: View, target: View, T: np.ndarray, settings: AlignmentSettings
) -> tuple[float, float, float]:
    """Return share of the samples that agree, overlap, and rms distance of those (m)."""
    moved, points, normals, gap, overlap = _lookup(source, target, T)
    if not len(moved):
        return 0.0, overlap, float("nan")
    distance = np.abs(np.einsum("ij,ij->i", moved - points, normals))
    near = distance < 3 * np.sqrt(2) * settings.depth_noise * points[:, 2] ** 2
    near &= gap <= settings.max_grey
    rmse = float(np.sqrt((distance[near] ** 2).mean())) if near.any() else float("nan")
    return float(near.mean()), overlap, rmse


def _refine(
    source: View, target: View, pairs: np.ndarray, T: np.ndarray, settings: AlignmentSettings
) -> np.ndarray:
    """Improve a motion by Gauss-Newton on depth (point to plane) and features (pixel, depth)."""
    for _ in range(settings.iterations):
        moved, points, normals, _, _ = _lookup(source, target, T)
        rows = [_plane_rows(moved, points, normals, settings)]
        near = _feature_inliers(source, target, pairs, T[None], settings)[0]
        rows.append(_feature_rows(source, target, pairs[near], T, settings))
        jacobian, residual = (np.concatenate([r[k] for r in rows]) for k in range(2))
        if len(residual) < 12:
            return T
        weight = 1 / np.maximum(1.0, np.abs(residual))  # Huber
        normal = jacobian.T @ (jacobian * weight[:, None]) + 1e-9 * np.eye(6)
        step = np.linalg.solve(normal, -jacobian.T @ (weight * residual))
        update = np.eye(4)
        update[:3, :3] = Rotation.from_rotvec(step[3:]).as_matrix()
        update[:3, 3] = step[:3]
        T = update @ T
        if np.abs(step).max() < 1e-6:
            break
    return T


def _plane_rows(
    moved: np.ndarray, points: np.ndarray, normals: np.ndarray, settings: AlignmentSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows d residual / d (translation, rotation) and residuals, in sigmas."""
    sigma = np.sqrt(2) * settings.depth_noise * points[:, 2] ** 2
    residual = np.einsum("ij,ij->i", moved - points, normals) / sigma
    near = np.abs(residual) < 6
    direction = normals / sigma[:, None]
    rows = np.concatenate([direction, np.cross(moved, direction)], axis=1)
    # samples are many and their errors alike; each counts as a quarter of a feature
    return rows[near] / 2, residual[near] / 2


def _feature_rows(
    source: View, target: View, pairs: np.ndarray, T: np.ndarray, settings: AlignmentSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same rows for matched features: two pixel errors and one depth error each."""
    moved = se3.apply(T, source.feature_m[pairs[:, 0]])
    wanted = target.feature_m[pairs[:, 1]]
    lens = target.intrinsics
    z = moved[:, 2]
    error = camera.project(moved, lens) - camera.project(wanted, lens)
    zero = np.zeros_like(z)
    sigma_px = settings.inlier_px / 3
    sigma_m = np.sqrt(2) * settings.depth_noise * wanted[:, 2] ** 2
    directions = np.stack(
        [
            np.column_stack([lens.fx / z, zero, -lens.fx * moved[:, 0] / z**2]) / sigma_px,
            np.column_stack([zero, lens.fy / z, -lens.fy * moved[:, 1] / z**2]) / sigma_px,
            np.column_stack([zero, zero, zero + 1]) / sigma_m[:, None],
        ],
        axis=1,
    )
    rows = np.concatenate([directions, np.cross(moved[:, None], directions)], axis=-1)
    scaled = error / np.column_stack([zero + sigma_px, zero + sigma_px, sigma_m])
    return rows.reshape(-1, 6), scaled.reshape(-1)
