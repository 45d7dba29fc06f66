# SPDX-License-Identifier: Apache-2.0
"""Which pixels of a frame belong to something that moves by itself.

With depth and camera known, a still pixel can be foretold in another frame. Where colour or depth
of that frame say otherwise, something moved: there the keypoint stage puts more points.
"""

from __future__ import annotations

import cv2
import numpy as np

from mu0_core.geometry import camera, se3
from mu0_core.trace_extract.records import Geometry

STRIDE = 4
_COLOUR_STEP, _DEPTH_STEP = 22.0, 0.02  # of Lab a, b and metres at 1 m


def moving_pixels(rgb: np.ndarray, geometry: Geometry, frame: int, other: int) -> np.ndarray:
    """Return (h / 4, w / 4) bool: where ``frame`` does not look like ``other`` if nothing moved.

    Args:
        rgb: (T, h, w, 3) uint8.
        geometry: depth and camera of the same frames.
        frame: whose pixels are judged.
        other: a frame before or after it.
    """
    lens = geometry.intrinsics
    rows = np.arange(STRIDE // 2, lens.height, STRIDE)
    columns = np.arange(STRIDE // 2, lens.width, STRIDE)
    v, u = np.meshgrid(rows, columns, indexing="ij")
    depth = np.asarray(geometry.depth_m[frame], np.float32)[v, u]
    T_other_frame = se3.inverse(geometry.T_world_camera[other]) @ geometry.T_world_camera[frame]
    points = camera.unproject(np.stack([u, v, depth], axis=-1).astype(float), lens)
    with np.errstate(invalid="ignore"):
        foretold = camera.project(se3.apply(T_other_frame, points), lens)
    x, y = (foretold[..., k].astype(np.float32) for k in range(2))
    inside = np.isfinite(x) & (x > 1) & (x < lens.width - 2) & (y > 1) & (y < lens.height - 2)
    x, y = np.where(inside, x, 0), np.where(inside, y, 0)
    seen_depth = cv2.remap(
        np.asarray(geometry.depth_m[other], np.float32), x, y, cv2.INTER_NEAREST
    )
    tolerance = _DEPTH_STEP * np.maximum(1.0, foretold[..., 2] ** 2)
    with np.errstate(invalid="ignore"):
        nearer = foretold[..., 2] - seen_depth > tolerance
        farther = seen_depth - foretold[..., 2] > tolerance
    colour = _chroma(rgb[frame])[v, u]
    seen = cv2.remap(_chroma(rgb[other]), x, y, cv2.INTER_LINEAR)
    changed = np.linalg.norm(colour - seen, axis=-1) > _COLOUR_STEP
    moved = inside & (nearer | farther | changed)
    return cv2.morphologyEx(moved.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))).astype(bool)


def _chroma(rgb: np.ndarray) -> np.ndarray:
    """Return (h, w, 2) float32 smoothed a and b of Lab: colour without its brightness."""
    lab = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2LAB)
    return cv2.GaussianBlur(lab[..., 1:].astype(np.float32), (5, 5), 0)
