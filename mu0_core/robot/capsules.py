# SPDX-License-Identifier: Apache-2.0
"""Distances between capsules, boxes and points, for whole arrays at once (numpy only).

A capsule is all that lies within a radius of a segment; distances here are those of segments, and
whoever asks takes the radii off. Segments are arrays (..., 2, 3): two ends.
"""

from __future__ import annotations

import numpy as np

_PARALLEL = 1e-12
_NARROW = (np.sqrt(5.0) - 1.0) / 2.0
_NARROWINGS = 12  # leaves 0.3 % of the segment, which is taken off the answer


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

    The distance to a box along a segment is convex, so halving by the golden section finds its
    least value; what it may have missed is taken off, so that the answer is never too large.

    Args:
        segments: with the box's centre as origin and its axes as axes.
        half_m: (..., 3) half of the box's size.
    """
    start, along = segments[..., 0, :], segments[..., 1, :] - segments[..., 0, :]

    def distance(share: np.ndarray) -> np.ndarray:
        outside = np.maximum(np.abs(start + share[..., None] * along) - half_m, 0.0)
        return np.sqrt(_dot(outside, outside))

    low = np.zeros(np.broadcast_shapes(start.shape, half_m.shape)[:-1])
    high = np.ones_like(low)
    for _ in range(_NARROWINGS):
        width = (high - low) * _NARROW
        left = distance(high - width) < distance(low + width)
        high, low = np.where(left, low + width, high), np.where(left, low, high - width)
    missed = (high - low) * np.sqrt(_dot(along, along))
    return np.maximum(np.minimum(distance(low), distance(high)) - missed, 0.0)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", a, b)
