# SPDX-License-Identifier: Apache-2.0
"""Query points chosen from one RGB-D image, without knowing what is in it.

The support plane is the dominant plane of the depth image; what stands on it is cut into entities
where colour or depth break, and points are spread over each entity. This plays the part of the
image-only keypoints of the μ0 paper (there: open-vocabulary masks or DINO clusters).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mu0_core.errors import ConfigError, NoQueryPointsError
from mu0_core.geometry import camera
from mu0_core.geometry.farthest_points import far_apart
from mu0_core.types import QueryPoints, RgbdFrame, Role


@dataclass(frozen=True, slots=True)
class SelectorSettings:
    """How points are chosen. Heights are above the support plane."""

    min_height_m: float = 0.005
    max_height_m: float = 0.32
    depth_step_m: float = 0.015
    colour_step: float = 22.0
    min_entity_pixels: int = 12
    max_entities: int = 24
    grid_width: int = 160
    plane_tolerance_m: float = 0.006
    plane_trials: int = 80
    min_plane_share: float = 0.15

    def __post_init__(self) -> None:
        if not 0 <= self.min_height_m < self.max_height_m:
            raise ConfigError(
                f"heights must satisfy 0 <= min < max: {self.min_height_m}, {self.max_height_m}"
            )


class PlaneSelector:
    """Chooses query points on what stands on the dominant plane. Deterministic."""

    def __init__(self, settings: SelectorSettings | None = None) -> None:
        self.settings = settings or SelectorSettings()

    def select(self, frame: RgbdFrame, max_points: int) -> QueryPoints:
        """Return at most ``max_points`` query points, spread over entities.

        Raises:
            NoQueryPointsError: no depth, no plane, or nothing stands on it.
        """
        s = self.settings
        stride = max(1, round(frame.intrinsics.width / s.grid_width))
        rows = np.arange(stride // 2, frame.intrinsics.height, stride)
        columns = np.arange(stride // 2, frame.intrinsics.width, stride)
        depth = frame.depth_m[np.ix_(rows, columns)]
        colour = cv2.cvtColor(
            np.ascontiguousarray(frame.rgb[np.ix_(rows, columns)]), cv2.COLOR_RGB2LAB
        ).astype(np.float32)
        grid_v, grid_u = np.meshgrid(rows, columns, indexing="ij")
        points = camera.unproject(
            np.stack([grid_u, grid_v, depth], axis=-1).astype(np.float64), frame.intrinsics
        )
        known = np.isfinite(depth) & (depth > 0)
        normal, offset = fit_plane(points[known], s)
        height = points @ normal + offset
        foreground = known & (height > s.min_height_m) & (height < s.max_height_m)
        labels = _entities(foreground, depth, colour, s)
        if labels.max(initial=-1) < 0:
            raise NoQueryPointsError(
                f"nothing stands {s.min_height_m} to {s.max_height_m} m above the support plane"
            )
        chosen = _spread(labels, points, max_points)
        flat = np.concatenate(chosen)
        uv = np.stack([grid_u.ravel()[flat], grid_v.ravel()[flat]], axis=-1)
        entity = np.concatenate([np.full(len(c), k) for k, c in enumerate(chosen)])
        return QueryPoints(
            uv_px=uv.astype(np.float32),
            depth_m=depth.ravel()[flat].astype(np.float32),
            ids=np.arange(len(flat), dtype=np.uint32),
            entity_ids=entity.astype(np.uint16),
            roles=np.full(len(flat), Role.UNKNOWN, np.uint8),
            width=frame.intrinsics.width,
            height=frame.intrinsics.height,
        )


def fit_plane(points_m: np.ndarray, settings: SelectorSettings) -> tuple[np.ndarray, float]:
    """Return (normal (3,), offset) of the dominant plane; height = points @ normal + offset.

    The normal points to the camera, so heights are positive on the near side.

    Raises:
        NoQueryPointsError: fewer than 100 points, or no plane holds enough of them.
    """
    if len(points_m) < 100:
        raise NoQueryPointsError(f"only {len(points_m)} pixels have depth; at least 100 needed")
    rng = np.random.default_rng(0)
    sample = points_m[rng.choice(len(points_m), min(1500, len(points_m)), replace=False)]
    triples = sample[rng.integers(len(sample), size=(settings.plane_trials, 3))]
    normals = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    usable = lengths > 1e-9
    normals = normals[usable] / lengths[usable, None]
    offsets = -np.einsum("ij,ij->i", normals, triples[usable, 0])
    inliers = np.abs(sample @ normals.T + offsets) < settings.plane_tolerance_m
    counts = inliers.sum(axis=0)
    best = int(np.argmax(counts)) if len(counts) else -1
    if best < 0 or counts[best] < settings.min_plane_share * len(sample):
        raise NoQueryPointsError("no support plane in the depth image")
    support = sample[inliers[:, best]]
    centre = support.mean(axis=0)
    normal = np.linalg.svd(support - centre, full_matrices=False)[2][2]
    if normal @ centre > 0:
        normal = -normal
    return normal, float(-normal @ centre)


def _entities(
    foreground: np.ndarray, depth: np.ndarray, colour: np.ndarray, settings: SelectorSettings
) -> np.ndarray:
    """Label connected foreground (h, w) without crossing depth or colour edges; -1 elsewhere."""
    h, w = foreground.shape
    index = np.arange(h * w).reshape(h, w)
    pairs = []
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        joined = (
            foreground[a]
            & foreground[b]
            & (np.abs(depth[a] - depth[b]) < settings.depth_step_m)
            & (np.linalg.norm((colour[a] - colour[b])[..., 1:], axis=-1) < settings.colour_step)
        )
        pairs.append(np.stack([index[a][joined], index[b][joined]]))
    i, j = np.concatenate(pairs, axis=1)
    graph = coo_matrix((np.ones(len(i), np.int8), (i, j)), shape=(h * w, h * w))
    _, component = connected_components(graph, directed=False)
    component = component.reshape(h, w)
    ids, counts = np.unique(component[foreground], return_counts=True)
    order = np.argsort(-counts)
    kept = [k for k in order if counts[k] >= settings.min_entity_pixels][: settings.max_entities]
    labels = np.full((h, w), -1)
    for new, k in enumerate(kept):
        labels[component == ids[k]] = new
    labels[~foreground] = -1
    return labels


def _spread(labels: np.ndarray, points_m: np.ndarray, max_points: int) -> list[np.ndarray]:
    """Share ``max_points`` over the entities and pick far-apart pixels in each (flat indices)."""
    count = labels.max() + 1
    members = [np.flatnonzero(labels.ravel() == k) for k in range(count)][:max_points]
    share = np.full(len(members), max_points // len(members))
    share[: max_points - share.sum()] += 1
    share = np.minimum(share, [len(m) for m in members])
    flat = points_m.reshape(-1, 3)
    return [m[far_apart(flat[m], n)] for m, n in zip(members, share) if n > 0]
