# SPDX-License-Identifier: Apache-2.0
"""Arc-length resampling of tracks with gaps, as stored in episodes (μ0 paper, extraction).

All tracks of a frame share one clock: the length of a time segment is the mean over the fastest 2
% of the tracks, so that tracks stay synchronous. Lengths count image widths, image heights and
metres alike. This is what `EpisodeWriter.add_slot` takes: pixels, gaps, -inf behind the end.
`mu0_core.training.retarget` follows the same clock for simulated points, which have no gaps and
rest behind the end; a test holds the two together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ConfigError, DataError, ShapeError

STEP_LENGTH = 0.05
MAX_STEPS = 128
FASTEST_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class ResampledTracks:
    """Tracks at equal path length.

    Attributes:
        points: (N, max_steps, 3) x px, y px, z m; -inf where not valid.
        valid: (N, max_steps) bool.
        times: (max_steps,) input time (fraction of a sample) of each column; NaN behind the end.
        num_steps: columns that belong to the motion, at least 1.
    """

    points: np.ndarray
    valid: np.ndarray
    times: np.ndarray
    num_steps: int


def resample_tracks(
    tracks: np.ndarray,
    valid: np.ndarray,
    width: int,
    height: int,
    *,
    step_length: float = STEP_LENGTH,
    max_steps: int = MAX_STEPS,
) -> ResampledTracks:
    """Resample tracks at equal steps of the shared path length; column 0 is the first input time.

    A column is valid for a track where the samples that it lies between are; a time segment that
    no track spans has no length.

    Args:
        tracks: (N, T, 3) x px, y px, z m; ignored where not valid.
        valid: (N, T) bool.
        width: of the image in pixels.
        height: of the image in pixels.
        step_length: path length of one column.
        max_steps: columns of the result.

    Raises:
        ShapeError: shapes disagree, or there is no track or time.
        DataError: a valid point is not finite.
        ConfigError: a length or size is not positive.
    """
    if not step_length > 0 or max_steps < 1 or width < 1 or height < 1:
        raise ConfigError(
            f"step_length {step_length}, max_steps {max_steps} and image {width}x{height} "
            "must be positive"
        )
    fits = tracks.ndim == 3 and tracks.shape[2] == 3 and 0 not in tracks.shape
    if not fits or valid.shape != tracks.shape[:2]:
        raise ShapeError(
            f"tracks {tracks.shape}, valid {valid.shape}: expected (N >= 1, T >= 1, 3) and (N, T)"
        )
    if not np.isfinite(tracks[valid]).all():
        raise DataError("a point marked valid is NaN or infinite; mark it as not valid")
    known = np.where(valid[..., None], tracks, 0.0)
    clock = _clock(known / np.array([width, height, 1.0]), valid)
    num_steps = min(math.floor(clock[-1] / step_length + 1e-6) + 1, max_steps)
    times = _times(clock, np.minimum(np.arange(num_steps) * step_length, clock[-1]))
    left = np.minimum(times.astype(int), tracks.shape[1] - 1)
    right = np.minimum(left + 1, tracks.shape[1] - 1)
    share = times - left
    points = known[:, left] * (1 - share)[:, None] + known[:, right] * share[:, None]
    seen = valid[:, left] & (valid[:, right] | (share == 0))
    result = ResampledTracks(
        np.full((len(tracks), max_steps, 3), -np.inf),
        np.zeros((len(tracks), max_steps), bool),
        np.full(max_steps, np.nan),
        num_steps,
    )
    result.points[:, :num_steps] = np.where(seen[..., None], points, -np.inf)
    result.valid[:, :num_steps] = seen
    result.times[:num_steps] = times
    return result


def _clock(scaled: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return (T,) the shared path length at each input time."""
    lengths = np.linalg.norm(np.diff(scaled, axis=1), axis=-1)
    spanned = valid[:, 1:] & valid[:, :-1]
    lengths = -np.sort(-np.where(spanned, lengths, 0.0), axis=0)  # longest first
    counts = spanned.sum(axis=0)
    fastest = np.maximum(1, np.ceil(FASTEST_SHARE * counts - 1e-9)).astype(int)
    total = np.where(np.arange(len(lengths))[:, None] < fastest, lengths, 0.0).sum(axis=0)
    return np.concatenate([[0.0], np.cumsum(np.where(counts > 0, total / fastest, 0.0))])


def _times(clock: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the input times at which the clock shows ``wanted``; the latest one of a pause."""
    left = np.searchsorted(clock, wanted + 1e-12, side="right") - 1
    right = np.minimum(left + 1, len(clock) - 1)
    span = clock[right] - clock[left]
    share = np.divide(wanted - clock[left], span, out=np.zeros_like(span), where=span > 0)
    times = left + np.clip(share, 0.0, 1.0)
    whole = np.round(times)
    times = np.where(np.abs(times - whole) < 1e-9, whole, times)
    times[0] = 0.0  # a sample begins at its frame, not at the end of a pause
    return times
