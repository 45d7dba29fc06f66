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

from mu0_core.geometry import camera, se3
from mu0_core.geometry.rigid_fit import rigid_fit
from mu0_core.trace_extract.stages.frame_view import AlignmentSettings, View, sample_image


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
