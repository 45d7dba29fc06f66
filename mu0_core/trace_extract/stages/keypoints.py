# SPDX-License-Identifier: Apache-2.0
"""Semantic keypoints (stage 2 of TraceExtract): points on entities, in every few frames.

Every frame that is looked at gets its own proposals for every entity; the tracker takes those
where no track is left. Priors (motion, saliency, hands) add points where something matters that is
smaller than a patch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy.cluster.vq import kmeans2

from mu0_core.errors import ConfigError
from mu0_core.geometry.farthest_points import far_apart
from mu0_core.trace_extract.protocols import PatchFeatures
from mu0_core.trace_extract.records import Geometry, Keypoints
from mu0_core.trace_extract.stages.entity_clusters import ClusterSettings, entity_maps
from mu0_core.trace_extract.stages.frame_view import smooth_depth
from mu0_core.trace_extract.stages.motion_prior import STRIDE, moving_pixels

Prior = Callable[[np.ndarray], np.ndarray]
"""(h, w, 3) uint8 image -> (h, w) bool, where points are wanted."""


@dataclass(frozen=True, slots=True)
class KeypointSettings:
    """How keypoints are proposed.

    Attributes:
        every_frames: distance of the frames that are looked at (paper: 5).
        points_per_entity: in each of those frames (paper: 48 over the clip, 144 for hands).
        prior_points: points of one frame that the priors may add.
        motion_prior: whether pixels that move by themselves are a prior.
        clusters: of the patches.
        seed: of the places within patches.
    """

    every_frames: int = 5
    points_per_entity: int = 48
    prior_points: int = 192
    motion_prior: bool = True
    clusters: ClusterSettings = field(default_factory=ClusterSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.every_frames < 1 or self.points_per_entity < 1 or self.prior_points < 0:
            raise ConfigError(
                f"every_frames {self.every_frames} and points_per_entity "
                f"{self.points_per_entity} must be positive, prior_points {self.prior_points} "
                "not negative"
            )


def propose_keypoints(
    rgb: np.ndarray,
    geometry: Geometry,
    backbone: PatchFeatures,
    settings: KeypointSettings,
    priors: Sequence[Prior] = (),
) -> Keypoints:
    """Return the keypoints of T frames; only pixels with a clear depth get one.

    Args:
        rgb: (T, h, w, 3) uint8.
        geometry: depth and camera of the same frames.
        backbone: features of image patches.
        settings: how.
        priors: each says for an image where points are wanted.
    """
    looked_at = np.arange(0, len(rgb), settings.every_frames)
    maps = entity_maps(np.stack([backbone.features(rgb[k]) for k in looked_at]), settings.clusters)
    rng = np.random.default_rng(settings.seed)
    found: list[tuple[np.ndarray, ...]] = []
    for frame, entity_map in zip(looked_at, maps):
        wanted = _wanted(rgb, geometry, int(frame), settings, priors)
        from_prior = _spread(wanted, settings.prior_points)
        uv = np.concatenate([from_prior, _on_entities(entity_map, rgb.shape[1:3], settings, rng)])
        known = np.isfinite(smooth_depth(np.asarray(geometry.depth_m[frame], np.float32), uv))
        first = np.arange(len(uv)) < len(from_prior)
        entities = patch_at(entity_map, uv, rgb.shape[1:3])
        found.append((np.full(len(uv), frame)[known], uv[known], entities[known], first[known]))
    frame, uv, entities, from_prior = (np.concatenate(part) for part in zip(*found))
    return Keypoints(
        frame.astype(np.int32),
        uv.astype(np.float32),
        entities.astype(np.int32),
        from_prior,
        looked_at.astype(np.int32),
        maps,
    )


def patch_at(patch_map: np.ndarray, uv_px: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the value (N,) of a patch map (gh, gw) at pixels (N, 2) of an image (h, w)."""
    rows, columns = patch_map.shape
    height, width = size
    column = np.clip(((uv_px[:, 0] + 0.5) * columns / width).astype(int), 0, columns - 1)
    row = np.clip(((uv_px[:, 1] + 0.5) * rows / height).astype(int), 0, rows - 1)
    return patch_map[row, column]


def _on_entities(
    entity_map: np.ndarray, size: tuple[int, int], settings: KeypointSettings, rng
) -> np.ndarray:
    """Return pixels (N, 2) spread over each entity by k-means, jittered within their patch."""
    rows, columns = entity_map.shape
    scale = np.array([size[1] / columns, size[0] / rows])
    found = []
    for entity in np.unique(entity_map):
        patches = np.argwhere(entity_map == entity)[:, ::-1].astype(float)
        count = settings.points_per_entity
        if len(patches) > count:
            seeds = patches[rng.choice(len(patches), count, replace=False)]
            with warnings.catch_warnings():  # an empty cluster keeps its seed: one point less
                warnings.simplefilter("ignore", UserWarning)
                centres, _ = kmeans2(patches, seeds, iter=5, minit="matrix", rng=rng)
        else:
            centres = np.repeat(patches, -(-count // len(patches)), axis=0)[:count]
        jitter = rng.uniform(0, 1, centres.shape)
        found.append((np.floor(centres) + jitter) * scale - 0.5)
    return np.concatenate(found)


def _wanted(
    rgb: np.ndarray,
    geometry: Geometry,
    frame: int,
    settings: KeypointSettings,
    priors: Sequence[Prior],
) -> np.ndarray:
    """Return (h / 4, w / 4) bool: where any prior wants points in this frame."""
    height, width = rgb.shape[1:3]
    shape = (len(range(STRIDE // 2, height, STRIDE)), len(range(STRIDE // 2, width, STRIDE)))
    wanted = np.zeros(shape, bool)
    for prior in priors:
        wanted |= prior(rgb[frame])[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    if settings.motion_prior and len(rgb) > 1:
        others = [frame - settings.every_frames, frame + settings.every_frames]
        others = [k for k in others if 0 <= k < len(rgb)] or [len(rgb) - 1 - frame]
        # what an object is about to cover differs once, the object itself both times
        wanted |= np.logical_and.reduce([moving_pixels(rgb, geometry, frame, k) for k in others])
    return wanted


def _spread(wanted: np.ndarray, count: int) -> np.ndarray:
    """Return at most ``count`` pixels (N, 2), shared among the patches of ``wanted``.

    Every connected patch gets its share; within it points lie far apart.
    """
    patches, labels = cv2.connectedComponents(wanted.astype(np.uint8))
    members = [np.argwhere(labels == k)[:, ::-1] for k in range(1, patches)]
    members = sorted((m for m in members if len(m) >= 4), key=len, reverse=True)[:count]
    if not members or not count:
        return np.zeros((0, 2))
    weight = np.sqrt([len(m) for m in members])
    share = np.maximum(1, np.floor(count * weight / weight.sum())).astype(int)
    chosen = [m[far_apart(m, min(n, len(m)))] for m, n in zip(members, share)]
    return np.concatenate(chosen)[:count] * float(STRIDE) + STRIDE // 2
