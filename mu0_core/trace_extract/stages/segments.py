# SPDX-License-Identifier: Apache-2.0
"""Stage 7, motion segments: cut a clip where one motion has ended and the next has not begun.

The μ0 paper cuts at the valleys between peaks of acceleration in (x / width, y / height, 0.1 z).
Here the acceleration is that along the path, so that a motion has one peak, when it sets off, and
slowing down is no second one; the valley is the quietest stretch before the next peak. It is cut
in the middle, and where everything stands still, at most half a filter window behind its start.

Rules beyond the paper, whose numbers are for long clips at 5 to 15 frames per second:
- Clips too short for the filter get a shorter one (`speed_and_acceleration`); in a clip of fewer
  than three frames nothing is known to move.
- Rest belongs to the motion that follows: who asks for a task asks before it starts. Before the
  first motion that ends where the test for moving points does not reach it any more. Rest behind
  the last motion belongs to no segment.
- Motion shorter than two shortest segments is one segment, however short. Motion longer than all
  allowed segments together gets more of them, because none may be longer than allowed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.signal import find_peaks

from mu0_core.errors import ConfigError, DataError, ShapeError
from mu0_core.trace_extract.records import MotionSegments
from mu0_core.trace_extract.stages.motion_signal import speed_and_acceleration
from mu0_core.trace_extract.stages.partition import cheapest_cuts

_STILL = 1e-6  # per frame: a pixel in a thousand frames is rounding, not motion
_QUIET = 0.1  # share of the way from the lowest speed of a valley to the motion before it


@dataclass(frozen=True, slots=True)
class SegmentSettings:
    """How motion is cut; speed counts image widths, heights and ``depth_weight`` metres alike.

    Attributes:
        depth_weight: of a metre of depth against an image width.
        window, order: of the Savitzky-Golay filter, frames and degree.
        peak_height, peak_prominence: of an acceleration peak, shares of the largest one; the
            motion must also slow down by the second share before a cut.
        peak_distance: frames between peaks, at least.
        min_frames, max_frames: length of a segment; the longest at least twice the shortest.
        max_segments: per clip.
        rest_speed: slower is rest: 40 px of 640 in 64 frames, the test for moving points ...
        rest_share: ... or this share of the clip's largest speed where that is less.
        lead_frames: rest that belongs to the first segment, at most.
    """

    depth_weight: float = 0.1
    window: int = 11
    order: int = 2
    peak_height: float = 0.4
    peak_prominence: float = 0.4
    peak_distance: int = 25
    min_frames: int = 25
    max_frames: int = 200
    max_segments: int = 6
    rest_speed: float = 0.001
    rest_share: float = 0.1
    lead_frames: int = 64

    def __post_init__(self) -> None:
        if self.order < 2 or self.window % 2 == 0 or self.window <= self.order:
            raise ConfigError(
                f"window {self.window} must be odd and longer than order {self.order}, which must "
                "be at least 2"
            )
        shares = (self.peak_height, self.peak_prominence, self.rest_share)
        if not all(0 < share < 1 for share in shares):
            raise ConfigError(
                f"peak_height, peak_prominence and rest_share {shares} must lie between 0 and 1"
            )
        if not 1 <= self.min_frames <= self.max_frames / 2 or self.max_segments < 1:
            raise ConfigError(
                f"min_frames {self.min_frames} >= 1, max_frames {self.max_frames} at least twice "
                f"that and max_segments {self.max_segments} >= 1 are needed"
            )
        if self.peak_distance < 1 or self.lead_frames < 0:
            raise ConfigError(
                f"peak_distance {self.peak_distance} must be at least 1, lead_frames "
                f"{self.lead_frames} not negative"
            )
        if not (self.rest_speed > 0 and self.depth_weight >= 0):
            raise ConfigError(
                f"rest_speed {self.rest_speed} must be positive, depth_weight "
                f"{self.depth_weight} not negative"
            )


PAPER = SegmentSettings()
AGIBOT = SegmentSettings(max_frames=300, max_segments=3)
# Ours, for motions of a second or two at 10 frames per second.
SHORT = SegmentSettings(
    window=7,
    peak_height=0.3,
    peak_prominence=0.3,
    peak_distance=10,
    min_frames=10,
    max_frames=100,
    max_segments=12,
)


def motion_segments(
    tracks_uvz: np.ndarray,
    valid: np.ndarray,
    width: int,
    height: int,
    settings: SegmentSettings = PAPER,
) -> MotionSegments:
    """Return the segments of a clip; none where nothing moves or too little is seen.

    Args:
        tracks_uvz: (P, T, 3) x px, y px, z m of the moving points, all frames in one camera that
            stands still; ignored where not valid.
        valid: (P, T) bool.
        width: of the image in pixels.
        height: of the image in pixels.
        settings: of the paper by default.

    Raises:
        ShapeError: the shapes disagree.
        DataError: there is no point or no frame, or a valid point is not finite.
        ConfigError: the image has no size.
    """
    points = _scaled(tracks_uvz, valid, width, height, settings.depth_weight)
    speed, acceleration = speed_and_acceleration(points, valid, settings.window, settings.order)
    fastest = np.max(speed, initial=0.0, where=np.isfinite(speed))
    if fastest < _STILL:
        return MotionSegments(np.empty((0, 2), np.int32), acceleration, speed)
    rest = min(settings.rest_speed, settings.rest_share * fastest)
    moves = np.flatnonzero(_bridged(speed) >= rest)
    start, stop = max(0, int(moves[0]) - settings.lead_frames), int(moves[-1]) + 1
    cost = _cut_cost(_bridged(speed), _bridged(acceleration), rest, settings)[start:stop]
    cuts = cheapest_cuts(cost, settings.min_frames, settings.max_frames, settings.max_segments)
    begins = start + np.array([0, *cuts])
    ends = np.append(begins[1:], stop) - 1
    return MotionSegments(np.stack([begins, ends], 1).astype(np.int32), acceleration, speed)


def _scaled(
    tracks: np.ndarray, valid: np.ndarray, width: int, height: int, depth_weight: float
) -> np.ndarray:
    """Return checked (P, T, 3) float64 in image widths, heights and weighted metres."""
    if tracks.ndim != 3 or tracks.shape[2] != 3 or valid.shape != tracks.shape[:2]:
        raise ShapeError(
            f"tracks {tracks.shape}, valid {valid.shape}: expected (P, T, 3) and (P, T)"
        )
    if width < 1 or height < 1:
        raise ConfigError(f"image {width}x{height} must be positive")
    if 0 in valid.shape:
        raise DataError(f"tracks {tracks.shape}: at least one moving point and frame are needed")
    if not np.isfinite(tracks[valid]).all():
        raise DataError("a point marked valid is NaN or infinite; mark it as not valid")
    return np.asarray(tracks, float) * [1 / width, 1 / height, depth_weight]


def _bridged(values: np.ndarray) -> np.ndarray:
    """Return values with a straight line over frames in which no point is seen; 0 at the ends."""
    known = np.isfinite(values)
    frames = np.arange(len(values))
    return np.interp(frames, frames[known], values[known], left=0.0, right=0.0)


def _cut_cost(
    speed: np.ndarray, acceleration: np.ndarray, rest: float, settings: SegmentSettings
) -> np.ndarray:
    """Return (T,) cost of a cut before each frame: minus the depth of a valley, else above 0."""
    cost = 1.0 + speed / speed.max()
    departures = _departures(speed, acceleration, settings)
    for before, after in itertools.pairwise(departures):
        between = speed[before : after + 1]
        slowed = 1 - between / np.maximum(np.maximum.accumulate(between), _STILL)
        lowest = int(slowed.argmax())
        depth, top = slowed[lowest], between[: lowest + 1].max()
        if depth < settings.peak_prominence:
            continue  # it sped up once more without a halt
        stretches, _ = ndimage.label(between <= between[lowest] + _QUIET * (top - between[lowest]))
        quiet = np.flatnonzero(stretches == stretches[lowest])
        stands_still = between[lowest] < rest
        reach = min(len(quiet), settings.window) if stands_still else len(quiet)
        cost[before + quiet[reach // 2]] = -depth
    return cost


def _departures(
    speed: np.ndarray, acceleration: np.ndarray, settings: SegmentSettings
) -> np.ndarray:
    """Return the frames in which motion sets off; the first frame if it moves already."""
    rising = np.pad(np.maximum(acceleration, 0.0), 1)
    peaks, _ = find_peaks(
        rising,
        height=settings.peak_height * rising.max(),
        prominence=settings.peak_prominence * rising.max(),
        distance=settings.peak_distance,
    )
    peaks = peaks - 1
    moves_already = speed[0] > settings.peak_height * speed.max()
    if moves_already and (not len(peaks) or peaks[0] >= settings.peak_distance):
        peaks = np.append(0, peaks)
    return peaks
