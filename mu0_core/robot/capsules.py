# SPDX-License-Identifier: Apache-2.0
"""Distances between capsules, boxes and points, for whole arrays at once (numpy only).

A capsule is all that lies within a radius of a segment; distances here are those of segments, and
whoever asks takes the radii off. Segments are arrays (..., 2, 3): two ends.
"""

from __future__ import annotations

import numpy as np

_PARALLEL = 1e-12


def segment_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return distances (...) between segments (..., 2, 3) and segments (..., 2, 3).

    The nearest points of two lines, moved into the first segment, then into the second, then back
    into the first: this order finds the nearest points of the segments.
    """
    p, u = first[..., 0, :], first[..., 1, :] - first[..., 0, :]
    q, v = second[..., 0, :], second[..., 1, :] - second[..., 0, :]
    between = p - q
    uu, vv, uv = _dot(u, u), _dot(v, v), _dot(u, v)
    uw, vw = _dot(u, between), _dot(v, between)
    across = uu * vv - uv * uv
    skew = across > _PARALLEL
    s = np.where(skew, (uv * vw - uw * vv) / np.where(skew, across, 1.0), 0.0)
    s = np.clip(s, 0.0, 1.0)
    t = np.clip((uv * s + vw) / np.maximum(vv, _PARALLEL), 0.0, 1.0)
    s = np.clip((uv * t - uw) / np.maximum(uu, _PARALLEL), 0.0, 1.0)
    apart = between + s[..., None] * u - t[..., None] * v
    return np.sqrt(_dot(apart, apart))


def point_distance(segments: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return distances (...) between segments (..., 2, 3) and points (..., 3)."""
    start, along = segments[..., 0, :], segments[..., 1, :] - segments[..., 0, :]
    share = _dot(points - start, along) / np.maximum(_dot(along, along), _PARALLEL)
    apart = points - start - np.clip(share, 0.0, 1.0)[..., None] * along
    return np.sqrt(_dot(apart, apart))


def box_distance(segments: np.ndarray, half_m: np.ndarray) -> np.ndarray:
    """Return distances (...) between segments (..., 2, 3), in the box's frame, and boxes.

    The squared distance to a box is convex along a segment and its slope is a broken line, with
    bends where a coordinate enters or leaves the box's slab. The slope at the bends tells between
    which two of them it passes zero, and there it is a straight line.

    Args:
        segments: with the box's centre as origin and its axes as axes.
        half_m: (..., 3) half of the box's size.
    """
    start, along = segments[..., 0, :], segments[..., 1, :] - segments[..., 0, :]
    start, along, half = np.broadcast_arrays(start, along, half_m)
    divisor = np.where(np.abs(along) > _PARALLEL, along, 1.0)
    bends = np.concatenate([(-half - start) / divisor, (half - start) / divisor], axis=-1)
    ends = np.broadcast_to([0.0, 1.0], (*bends.shape[:-1], 2))
    shares = np.sort(np.concatenate([np.clip(bends, 0.0, 1.0), ends], axis=-1), axis=-1)
    at = start[..., None, :] + shares[..., None] * along[..., None, :]
    slopes = _dot(np.clip(at, -half[..., None, :], half[..., None, :]) - at, -along[..., None, :])
    last = np.clip(np.sum(slopes < 0.0, axis=-1) - 1, 0, shares.shape[-1] - 2)[..., None]
    before, after = (np.take_along_axis(shares, last + k, -1)[..., 0] for k in (0, 1))
    falls, rises = (np.take_along_axis(slopes, last + k, -1)[..., 0] for k in (0, 1))
    steep = np.maximum(rises - falls, _PARALLEL)
    share = np.clip(before - falls * (after - before) / steep, before, after)
    nearest = start + share[..., None] * along
    outside = np.maximum(np.abs(nearest) - half, 0.0)
    return np.sqrt(_dot(outside, outside))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", a, b)
