# SPDX-License-Identifier: Apache-2.0
"""Speed and acceleration of a cloud of tracks with gaps, one number per frame.

The acceleration is that along each point's own path, the slope of its speed: above zero where it
speeds up. Its second derivative along the path would be the same but flips its sign where a point
all but rests. A filter window never reaches over a gap of a track. What the axes mean is the
caller's affair.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import savgol_coeffs


def speed_and_acceleration(
    points: np.ndarray, valid: np.ndarray, window: int, order: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return speed (T,) per frame and acceleration (T,) per frame squared, means over the points.

    Where no track is seen for ``window`` frames running, the longest odd window that one fills
    takes its place for the whole clip. Shorter runs do not count, and a frame without any that
    does is NaN; so is every frame when no window longer than ``order`` fits.

    Args:
        points: (P, T, 3); ignored where not valid.
        valid: (P, T) bool.
        window: odd length of the Savitzky-Golay filter in frames; at the ends of a run, the
            polynomial of its last window goes on.
        order: its degree, at least 2.
    """
    starts, stops = _runs(valid)
    longest = int((stops - starts).max(initial=0))
    window = min(window, longest - (longest + 1) % 2)
    frames = valid.shape[1]
    if window <= order:
        return np.full(frames, np.nan), np.full(frames, np.nan)
    weights = np.array(
        [savgol_coeffs(window, order, deriv=1, pos=k, use="dot") for k in range(window)]
    )
    sums, counts = np.zeros((2, frames)), np.zeros(frames)
    for point, start, stop in zip(points, starts, stops, strict=True):
        known = np.flatnonzero(stop - start >= window)
        first = np.clip(known - window // 2, start[known], stop[known] - window)
        inside = point[first[:, None] + np.arange(window)]
        velocity = np.einsum("fw,fwc->fc", weights[known - first], inside)
        speed = np.full(frames, np.nan)
        speed[known] = np.linalg.norm(velocity, axis=-1)
        sums[:, known] += speed[known], _slope(speed)[known]
        counts[known] += 1
    mean = np.full_like(sums, np.nan)
    np.divide(sums, counts, out=mean, where=counts > 0)
    return mean[0], mean[1]


def _slope(values: np.ndarray) -> np.ndarray:
    """Return the mean of the steps to and from each frame, or the one that is known."""
    steps = np.pad(np.diff(values), 1, constant_values=np.nan)
    steps = np.stack([steps[:-1], steps[1:]])
    known = np.isfinite(steps)
    return np.where(known, steps, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _runs(valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (P, T) the first frame of the run that a frame is in, and the frame behind its last.

    Both are 0 where not valid.
    """
    edges = np.diff(np.pad(valid, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    frames = np.arange(valid.shape[1])
    starts = np.maximum.accumulate(np.where(edges[:, :-1] == 1, frames, 0), axis=1)
    ends = np.where(edges[:, 1:] == -1, frames + 1, len(frames))[:, ::-1]
    stops = np.minimum.accumulate(ends, axis=1)[:, ::-1]
    return np.where(valid, starts, 0), np.where(valid, stops, 0)
